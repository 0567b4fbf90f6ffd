"""What a terminal shows of a results folder."""

from pathlib import Path

from smoothbench.report.frame import load, settings
from smoothbench.report.tables import report_table
from smoothbench.report.text import to_text


def summary(folder: Path) -> str:
    """The tables of a results folder as plain text, and the points that are not done with their reasons."""
    text = ""
    for _, part in settings(load(folder)):
        first = part.iloc[0]
        text += (
            f"{first['experiment']}: {first['model']}, N = {first['num_samples']}, seeds {first['seeds']}\n\n"
        )
        text += to_text(report_table(part)) + "\n"
        for _, row in part[part["status"] != "done"].iterrows():
            text += f"{row['status']}: {row['label']}: {row['reason']}\n"
    return text
