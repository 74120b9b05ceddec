"""What a survey says of a data set: each fault in a sentence, the worst first, with what to do and its images."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from classifier.training.checking import other_formats
from classifier.training.checking.class_names import phase_names, same_classes
from classifier.training.checking.copies import Copies
from classifier.training.checking.finding import Finding
from classifier.training.checking.survey import Survey
from classifier.training.data.names import printable, quoted
from classifier.words import decimal, plural

# Fewer images of a class say too little: of 5 test images one more mistake is 20 %.
FEWEST = {"train": 20, "validation": 5, "test": 5}
# From here on rare classes are often ignored.
IMBALANCED = 3
# Grey values, of 255. A photo of a plain wall, and one that is nearly black, have more contrast.
BLANK_CONTRAST = 1.5
DARK = 40
# Of 16-bit images whose values have up to 14 bits, such as a camera's 12, no pixel is brighter than this.
LOW = 63
# Times the data set's median: digits that are all blurred, or a night sky, are no fault.
DARK_SHARE = 0.25
BLURRED_SHARE = 0.1
TINY_SHARE, TINY_SIDE = 0.5, 64
NAMES = "doubtful names"


def find_faults(survey: Survey) -> list[Finding]:
    """Return the faults, the worst first."""
    copies = Copies(survey)
    return [
        *copies.find_leaks(),
        *copies.find_two_labels(),
        *copies.find_mirrored(),
        *copies.find_scenes(),
        *find_doubtful_names(survey),
        *find_unreadable(survey),
        *find_loose(survey),
        *find_other_formats(survey),
        *find_small_classes(survey),
        *find_low(survey),
        *find_blank(survey),
        *copies.find_repeated(),
        *find_imbalance(survey),
        *find_poor(survey),
    ]


def find_doubtful_names(survey: Survey) -> Iterator[Finding]:
    """Find classes that may be another one by their names, or a split."""
    classes, counts = survey.dataset.classes, Counter(survey.labels.tolist())
    for names in same_classes(classes):
        images = sum(counts[classes.index(name)] for name in names)
        what = f"the classes {quoted(*names)} have almost the same name"
        yield Finding(NAMES, images, what, "if they are one class, put their images into one folder")
    for name in phase_names(classes):
        what = f"the class {quoted(name)} has the name of a split"
        advice = "if its images are to test or validate with, move them out of the classes"
        yield Finding(NAMES, counts[classes.index(name)], what, advice)


def find_unreadable(survey: Survey) -> Iterator[Finding]:
    if survey.unreadable:
        count = len(survey.unreadable)
        reason, times = Counter(why for _, why in sorted(survey.unreadable.items())).most_common(1)[0]
        often = "" if times == count else f" ({times:,} of them)"
        yield Finding(
            "unreadable",
            count,
            f"{plural(count, 'image')} cannot be read: {reason}{often}",
            "replace or leave them out; training skips them, and fails above 10 % of a split",
            [[position] for position in sorted(survey.unreadable)],
            frozenset(survey.unreadable),
        )


def find_loose(survey: Survey) -> Iterator[Finding]:
    if loose := survey.dataset.loose:
        lie = plural(len(loose), "image lies", "images lie")
        what = f"{lie} in no class folder, such as {printable(loose[0])}, so training does not use them"
        yield Finding("no class", len(loose), what, "move each into the folder of its class")


def find_other_formats(survey: Survey) -> Iterator[Finding]:
    passed_over: Counter[str] = Counter()
    for phase in survey.dataset.phases:
        passed_over.update(phase.passed_over)
    for suffix, count, advice in other_formats.advise(passed_over):
        yield Finding("format", count, f"{plural(count, f'{suffix} file')} cannot be used", advice)


def find_small_classes(survey: Survey) -> Iterator[Finding]:
    """Find classes with too few readable images for their split."""
    for number, phase in enumerate(survey.dataset.phases):
        unread = np.zeros(len(survey), bool)
        unread[list(survey.unreadable)] = True
        counts = np.bincount(survey.labels[(survey.phases == number) & ~unread], minlength=len(survey.dataset.classes))
        few = np.flatnonzero(counts < FEWEST[phase.name])
        if not len(few):
            continue
        least = few[np.argsort(counts[few], kind="stable")]
        named = ", ".join(f"{quoted(survey.dataset.classes[one])} ({counts[one]})" for one in least[:3].tolist())
        named += ", ..." * (len(few) > 3)
        advice = (
            "add images, or merge classes" if phase.name == "train" else "their figures are mostly chance: add some"
        )
        classes = plural(len(few), "class has", "classes have")
        what = f"{classes} fewer than {FEWEST[phase.name]} {phase.name} images: {named}"
        yield Finding("few images", int(counts[few].sum()), what, advice)


def find_imbalance(survey: Survey) -> Iterator[Finding]:
    classes, labels = survey.dataset.classes, survey.dataset.train.labels
    counts = np.bincount(labels, minlength=len(classes))
    most, least = int(counts.argmax()), int(counts.argmin())
    ratio = counts[most] / max(1, counts[least])
    if ratio < IMBALANCED:
        return
    weights = [len(labels) / (len(classes) * max(1, counts[one])) for one in (least, most)]
    what = (
        f"{quoted(classes[most])} has {plural(int(counts[most]), 'training image')}, "
        + f"{quoted(classes[least])} has {counts[least]}"
    )
    effect = f"an image of these counts {decimal(weights[1])} and {decimal(weights[0])} times in the loss"
    advice = f"with class_weights=balanced {effect}; objective=validation:macro_f1 judges by all classes alike"
    yield Finding("imbalance", int(counts[least]), what, advice)


def low_images(survey: Survey) -> np.ndarray:
    """Return which are the 16-bit images (n,), if all of these use the lowest part of their range alone."""
    deep = survey.readable & survey.has_16_bits
    return deep & bool((survey.highest[deep] <= LOW).all())


def find_low(survey: Survey) -> Iterator[Finding]:
    what = "16-bit {} of values in the lowest quarter of their range or below, almost black once 8 bits are left"
    advice = "stretch all alike, for example 12-bit values with ImageMagick: magick mogrify -evaluate multiply 16 FILES"
    yield from _poor(low_images(survey), "16 bits", what, advice)


def find_blank(survey: Survey) -> Iterator[Finding]:
    blank = survey.readable & ~low_images(survey) & (survey.contrast < BLANK_CONTRAST)
    yield from _poor(blank, "blank", "{} of one colour and nothing else", "leave them out", left_out=True)


def find_poor(survey: Survey) -> Iterator[Finding]:
    """Find images that are far darker, more blurred or smaller than most of their data set."""
    readable = survey.readable
    if not readable.any():
        return
    shown = readable & ~low_images(survey) & (survey.contrast >= BLANK_CONTRAST)
    brightness, sharpness = (np.median(values[readable]) for values in (survey.brightness, survey.sharpness))
    sides = survey.sides.min(1)
    tiny = readable & (sides < min(TINY_SIDE, TINY_SHARE * np.median(sides[readable])))
    dark = shown & (survey.brightness < min(DARK, DARK_SHARE * brightness))
    blurred = shown & ~dark & ~tiny & (survey.sharpness < BLURRED_SHARE * sharpness)
    look = "look whether you recognise them; leave out those that you do not"
    yield from _poor(dark, "dark", "very dark {}", look)
    yield from _poor(blurred, "blurred", "{} far more blurred than most", look)
    yield from _poor(tiny, "tiny", f"{{}} of less than {TINY_SIDE} pixels on a side, far smaller than most", look)


def _poor(found: np.ndarray, kind: str, what: str, advice: str, left_out: bool = False) -> Iterator[Finding]:
    positions = np.flatnonzero(found).tolist()
    if positions:
        count = len(positions)
        sentence = plural(count, what.format("image"), what.format("images"))
        groups = [[position] for position in positions]
        yield Finding(kind, count, sentence, advice, groups, frozenset(positions if left_out else ()))
