"""Reports: a run as a page and as text.

In: a `Run` (or a comparison of scores) and what can be computed from it within seconds. Out: report.html, one file that
works offline and shows foreign text as text, and the summary that the command line prints.
"""

from linkodds.report.page import render_report, write_page, write_report
from linkodds.report.report_data import report_data_of

__all__ = ["render_report", "report_data_of", "write_page", "write_report"]
