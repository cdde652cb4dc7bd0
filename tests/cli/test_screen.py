from __future__ import annotations

import io

from rich.console import Console

from elasticjob.cli.screen import Screen


def test_sources_form_one_column_and_text_is_printed_verbatim() -> None:
    out = io.StringIO()
    screen = Screen(Console(file=out, highlight=False, markup=False, soft_wrap=True, width=20))
    screen.print("[bold]first[/bold]")
    screen.print_line("demo-0-0", "a line that is longer than the terminal is wide")
    screen.print_line("demo", "Running [1/2]")
    assert out.getvalue().splitlines() == [
        "[bold]first[/bold]",
        "demo-0-0 | a line that is longer than the terminal is wide",
        "demo     | Running [1/2]",
    ]
