"""Environment variables that are named as the server's own and are none of them: most are misspelt."""

import logging
from collections.abc import Iterable
from difflib import get_close_matches

from classifier.contract import SERVE, SERVE_VARIABLES
from classifier.json_text import shown

log = logging.getLogger(__name__)


def warn_of_misspelt(environ: Iterable[str]) -> None:
    """Log each variable that has no effect, for it begins as the server's own do, in capitals or not.

    Other programs may have set it for themselves, so none is refused.
    """
    endings = [name.removeprefix(SERVE) for name in SERVE_VARIABLES]
    for name in sorted(environ):
        if name.upper().startswith(SERVE) and name not in SERVE_VARIABLES:
            # Without what they have in common, which would make all of them alike.
            nearest = get_close_matches(name.upper().removeprefix(SERVE), endings, 1)
            known = f"the nearest is {SERVE}{nearest[0]}" if nearest else f"accepted: {', '.join(SERVE_VARIABLES)}"
            log.warning("the server has no variable %s, which has no effect; %s", shown(name), known)
