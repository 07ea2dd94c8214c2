"""The axis `words`: the same wish, said in another way. Names of things and places stay as they are."""

import re

import numpy as np

from sim.variation.levels import Level

WAYS = {
    r"put the (?P<a>.+) in the (?P<b>.+)": (
        "place the {a} into the {b}",
        "the {a} goes in the {b}",
        "drop the {a} into the {b}",
        "please move the {a} to the {b}",
    ),
    r"put the (?P<a>.+) on the (?P<b>.+)": (
        "place the {a} onto the {b}",
        "the {a} goes on the {b}",
        "set the {a} down on the {b}",
        "please lay the {a} on the {b}",
    ),
    r"move the (?P<a>.+) near the (?P<b>.+)": (
        "bring the {a} close to the {b}",
        "put the {a} next to the {b}",
        "the {a} belongs beside the {b}",
        "please set the {a} by the {b}",
    ),
    r"stack the (?P<a>.+) on the (?P<b>.+)": (
        "place the {a} on top of the {b}",
        "the {a} goes on top of the {b}",
        "build a tower of the {a} on the {b}",
        "please set the {a} onto the {b}",
    ),
    r"pick up the (?P<a>.+?)(?P<b> from the moving tray)?": (
        "grasp the {a}{b}",
        "lift the {a}{b}",
        "take the {a}{b}",
        "please raise the {a}{b}",
    ),
}
LEAST_LETTERS = 4  # of a word that is mistyped


def reworded(sentence: str, level: Level, rng: np.random.Generator) -> str:
    """A sentence at a level: easy in other words, hard also with a typing mistake; none as it is.

    A sentence of another form than the tasks' own keeps its words.
    """
    if level == "none":
        return sentence
    for form, ways in WAYS.items():
        found = re.fullmatch(form, sentence)
        if found is not None:
            parts = {name: part or "" for name, part in found.groupdict().items()}
            sentence = ways[int(rng.integers(len(ways)))].format(**parts)
            break
    return mistyped(sentence, rng) if level == "hard" else sentence


def mistyped(sentence: str, rng: np.random.Generator) -> str:
    """With two neighbouring letters of one word exchanged, the first letter left alone; words of equal letters are as they were."""
    words = sentence.split(" ")
    places = [
        (number, at)
        for number, word in enumerate(words)
        if len(word) >= LEAST_LETTERS
        for at in range(1, len(word) - 1)
        if word[at] != word[at + 1]
    ]
    if not places:
        return sentence
    number, at = places[int(rng.integers(len(places)))]
    word = words[number]
    words[number] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)
