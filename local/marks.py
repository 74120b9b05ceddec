"""Read labels.csv with the marks of a person, as spreadsheets of many countries save it."""

import csv
import io
import re
from pathlib import Path

from classifier import files
from classifier.errors import UserError
from classifier.training.labels.columns import LABELS_COLUMNS, NO, YES
from classifier.words import plural

MARKS = f"{', '.join(YES)} to move; {', '.join(filter(None, NO))} or nothing to leave"


def read_rows(labels: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the rows, each with the number of its line. Raises UserError if it is not a labels.csv."""
    try:
        text = files.read_text(labels)
    except FileNotFoundError:
        raise UserError(f"{labels} is missing; accepted: the labels.csv of a training job") from None
    except UserError as error:
        how = '; accepted from Excel: "CSV UTF-8"' if isinstance(error.__cause__, UnicodeError) else ""
        raise UserError(f"{error}{how}") from error
    first, _, rest = text.partition("\n")
    of_excel = re.fullmatch('"?sep=."?[,;\t]*', first, re.IGNORECASE) is not None  # a line that only Excel reads
    text = rest if of_excel else text
    head = text.partition("\n")[0]
    # Spreadsheets of many countries write semicolons, and "Unicode text" has tabs.
    delimiter = next((other for other in ";\t" if other in head), ",")
    # Strict, or a quote that is not closed would make the rest of the file, with its marks, one field.
    table = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        table.fieldnames = names = [name.strip().lower() for name in table.fieldnames or ()]
        rows = [(table.line_num + of_excel, row) for row in table]
    except csv.Error as error:
        where = f"{labels}, line {table.line_num + of_excel}"
        raise UserError(f"{where}, cannot be read: {error}; accepted: CSV") from error
    for name in LABELS_COLUMNS[:5]:
        if (count := names.count(name)) != 1:
            has = plural(count, "column") if count else "no column"
            raise UserError(f"{labels} has {has} {name}; accepted: a labels.csv, with {', '.join(LABELS_COLUMNS)}")
    return [(number, {name: row.get(name) or "" for name in LABELS_COLUMNS}) for number, row in rows]
