"""Reasoning over a user's documents: from a teacher, or one's own."""

from keras_restpg.reasoning.engine import EngineGenerate
from keras_restpg.reasoning.own import load_reasoning
from keras_restpg.reasoning.teacher import Teacher, TeacherReport
from keras_restpg.reasoning.text import clean, copied_share

__all__ = [
    "EngineGenerate",
    "Teacher",
    "TeacherReport",
    "clean",
    "copied_share",
    "load_reasoning",
]
