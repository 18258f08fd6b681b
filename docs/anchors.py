"""The anchors of headings."""

import re


def heading_slug(title: str) -> str:
    """The anchor of a heading, as a code host makes it; a rule of the doctor goes by its id alone (D07: d07).

    The pages hold `<a id="d07">` for those who read them as files, and links such as doctor.md#d07 are checked here.
    """
    rule = re.match(r"(D\d\d):", title)
    if rule:
        return rule[1].lower()
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
