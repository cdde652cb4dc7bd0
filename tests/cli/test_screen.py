from __future__ import annotations

import io

from rich.console import Console

from elasticjob.cli.screen import Screen


def test_names_stay_in_one_column_and_text_is_taken_as_it_is() -> None:
    out = io.StringIO()
    screen = Screen(Console(file=out, highlight=False, markup=False, soft_wrap=True, width=20))
    screen.line("[bold]first[/bold]")
    screen.say("demo-0-0", "a line that is longer than the terminal is wide")
    screen.say("demo", "Running [1/2]")
    assert out.getvalue().splitlines() == [
        "[bold]first[/bold]",
        "demo-0-0 | a line that is longer than the terminal is wide",
        "demo     | Running [1/2]",
    ]
