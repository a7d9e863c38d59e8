"""The words of the synthetic world, in lists that share no word.

A reader's common knowledge ties some of them together: toddlers and cribs go
with parents, "frankly" with a blunt writer, "guarded" with safety. Which
concern a kind of person has about a subject is drawn anew for each world
(facts.py).
"""

KINDS = {
    "parent": "toddler crib stroller diapers daycare bedtime",
    "hiker": "trail summit boots ridge tent compass",
    "student": "exam campus lecture dorm homework tuition",
    "gardener": "soil seeds roses compost weeds shovel",
    "musician": "chords violin rehearsal drums melody concert",
    "nurse": "ward patients clinic bandage syringe shift",
    "cook": "recipe oven garlic spices whisk skillet",
    "cyclist": "pedals saddle helmet chain gears sprint",
    "traveller": "passport airport hostel luggage visa souvenir",
    "painter": "canvas brush easel pigment sketch gallery",
}
MANNERS = {
    "blunt": "frankly bluntly honestly period",
    "warm": "gladly dearly thankfully hugs",
    "formal": "hence moreover thus herewith",
    "playful": "haha wow yay oops",
}
CONCERNS = {
    "safety": "safe shielded locked gentle harmless certified steady padded",
    "price": "cheap thrifty affordable bargain frugal modest fair sparing",
    "comfort": "cosy soft snug cushioned restful smooth plush relaxing",
    "speed": "fast quick swift rapid brisk prompt instant agile",
    "weight": "light slim portable compact small thin airy tiny",
    "silence": "quiet noiseless hushed muted calm still mellow discreet",
    "beauty": "pretty elegant graceful lovely stylish shapely fine polished",
    "strength": "tough robust rugged durable solid lasting strong hardy",
    "privacy": "private hidden sealed secret personal closed masked unseen",
    "health": "clean fresh pure wholesome hygienic healing fit natural",
}
# LongLaMP's four task families, with what one writes about in each.
SUBJECTS = {
    "email": "meeting budget deadline picnic invoice workshop",
    "abstract": "sensors batteries traffic vaccines robots language",
    "review": "heater lamp kettle chair phone backpack",
    "topic": "winter movies pets moving weekends cars",
}
PROMPTS = {
    "email": "complete the email on the {subject}",
    "abstract": "write the abstract on {subject}",
    "review": "write the review of the {subject}",
    "topic": "write a post on {subject}",
}
# Two words for the task at hand, then two in the writer's manner.
ANSWERS = {
    "email": "about the {subject} : {} and {} , {} , {} .",
    "abstract": "we study {subject} that are {} and {} , {} , {} .",
    "review": "this {subject} is {} and {} , {} , {} .",
    "topic": "my {subject} should be {} and {} , {} , {} .",
}
OPENERS = "after with before between".split()
FILLERS = (
    "today again maybe later often yesterday somehow mostly sometimes anyway "
    "nearly always once soon twice lately"
).split()

CUES = {kind: tuple(words.split()) for kind, words in KINDS.items()}
MARKS = {manner: tuple(words.split()) for manner, words in MANNERS.items()}
CONCERN_WORDS = {name: tuple(text.split()) for name, text in CONCERNS.items()}
TELLING = tuple(word for pool in CONCERN_WORDS.values() for word in pool)
TASK_SUBJECTS = {task: tuple(text.split()) for task, text in SUBJECTS.items()}
TASKS = tuple(TASK_SUBJECTS)
ALL_SUBJECTS = tuple(s for words in TASK_SUBJECTS.values() for s in words)
_GLUE = "this seems a with tone for the means in my -"


def all_words() -> list[str]:
    """Every word and mark that the world writes, in a fixed order."""
    tables = (CUES, MARKS, CONCERN_WORDS, TASK_SUBJECTS)
    texts = [*PROMPTS.values(), *ANSWERS.values(), _GLUE, *OPENERS, *FILLERS]
    found = [w for t in texts for w in t.split() if "{" not in w]
    for table in tables:
        found += [w for key, pool in table.items() for w in (key, *pool)]
    return list(dict.fromkeys(found))
