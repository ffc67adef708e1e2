"""Being called wrongly: status 2, and what is wrong, before anything is asked of anybody."""

import pytest
from typer.testing import CliRunner

from paymux.cli import app


@pytest.mark.parametrize(
    ("words", "given", "says"),
    [
        ("connectors install", "", "PROVIDER"),
        ("connectors install ../tasks", "", "'../tasks' is the name of no connector"),
        ("connectors install example directory", "", "key=value"),
        ("connectors install example =x", "", "key=value"),
        ("connectors install example a..b=x", "", "key=value"),
        ("connectors install example secret:=hunter2", "", "needs JSON"),
        ("connectors install example --config nowhere.json", "", "nowhere.json: No such file"),
        ("connectors install example --config -", '{"secret": hunter2', "holds no JSON"),
        ("connectors install example --config -", "[1]", "no JSON object"),
        ("connectors update-config example", "", "say what changes"),
        ("connectors list --url ftp://somewhere", "", "no URL"),
        ("connectors list --url http://a:b", "", "no URL"),
        ("connectors list --colour", "", "--colour"),
        ("tasks list --status LAZY", "", "PENDING, ACTIVE"),
        ("tasks show", "", "TASK"),
        ("set-aside replay", "", "name a record, or say --all"),
        ("set-aside replay x --all", "", "name a record, or say --all"),
    ],
)
def test_being_called_wrongly_is_status_2(words: str, given: str, says: str) -> None:
    """With what is wrong, and without what was given: it may be a secret."""
    ended = CliRunner().invoke(app, words.split(), input=given)

    assert (ended.exit_code, ended.stdout) == (2, "")
    assert says in " ".join(ended.stderr.split())
    assert "hunter2" not in ended.stderr
