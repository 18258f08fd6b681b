"""Reports: a run as a page and as text.

In: a `Run` (or a comparison of scores) and what can be computed from it within seconds. Out: report.html, one file that
works offline and shows foreign text as text, and the summary that the command line prints.
"""

from linkodds.report.page import render_report, write_page, write_report

__all__ = ["render_report", "write_page", "write_report"]
