"""Reasoning over a user's documents: from a teacher, or one's own."""

from keras_restpg.reasoning.from_file import load_reasoning
from keras_restpg.reasoning.generate import EngineGenerate
from keras_restpg.reasoning.leaks import clean, copied_share
from keras_restpg.reasoning.teacher import Teacher, TeacherReport

__all__ = [
    "EngineGenerate",
    "Teacher",
    "TeacherReport",
    "clean",
    "copied_share",
    "load_reasoning",
]
