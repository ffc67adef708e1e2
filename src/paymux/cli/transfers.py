"""``paymux transfers``: orders to move money, deciding on them, and those whose outcome is unknown."""

import json
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from paymux.cli.asking import URL, Connector, Everything, Failed, Json, NoSuchThing, Service, Url
from paymux.cli.tables import say, show_fields, show_json, show_list, show_table, time

_PATH = "/transfer-initiations"

Named = Annotated[str, typer.Argument(help="Its id, or its reference.", metavar="TRANSFER")]

transfers = typer.Typer(
    help="Orders to move money, and deciding on them.", no_args_is_help=True, rich_markup_mode=None
)


@transfers.command("list")
def list_(
    *,
    status: Annotated[str | None, typer.Option(help="Of this status, such as FAILED.")] = None,
    connector: Connector = None,
    everything: Everything = False,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """List transfer initiations, newest first."""
    service = Service(url)
    asked = {"state": status.upper()} if status else {}
    found, more = service.rows(_PATH, _query(service, asked, connector), everything=everything)
    names = {} if as_json else _names(service)
    show_list(
        found,
        ("reference", "installation", "type", "amount", "asset", "status", "created", "error"),
        lambda row: (
            row["reference"], names.get(row["connectorID"], ""), row["type"], row["amount"], row["asset"],
            row["state"], time(row["createdAt"]), row["error"],
        ),
        more=more,
        as_json=as_json,
    )  # fmt: skip


@transfers.command()
def show(transfer: Named, connector: Connector = None, url: Url = URL, as_json: Json = False) -> None:
    """Show one, with what happened to it and its payments."""
    found = _find(Service(url), transfer, connector)
    if as_json:
        show_json(found)
        return
    history, payments = found.pop("relatedAdjustments"), found.pop("relatedPayments")
    show_fields(found)
    say("")
    show_table(
        ("when", "status", "error", "note"),
        [(time(one["createdAt"]), one["status"], one["error"], one["note"]) for one in history],
    )
    if payments:
        say("")
        show_table(("payment", "status"), [(one["paymentID"], one["status"]) for one in payments])


@transfers.command()
def approve(transfer: Named, connector: Connector = None, url: Url = URL, as_json: Json = False) -> None:
    """Let a transfer initiation that waits for validation be sent."""
    _do(url, transfer, connector, "status", {"status": "VALIDATED"}, as_json=as_json)


@transfers.command()
def reject(transfer: Named, connector: Connector = None, url: Url = URL, as_json: Json = False) -> None:
    """Never send a transfer initiation that waits for validation."""
    _do(url, transfer, connector, "status", {"status": "REJECTED"}, as_json=as_json)


@transfers.command()
def retry(transfer: Named, connector: Connector = None, url: Url = URL, as_json: Json = False) -> None:
    """Try a transfer initiation again that has failed."""
    _do(url, transfer, connector, "retry", None, as_json=as_json)


@transfers.command()
def unknown(
    *, connector: Connector = None, everything: Everything = False, url: Url = URL, as_json: Json = False
) -> None:
    """List those that nobody can say what became of, newest first."""
    service = Service(url)
    found, more = service.rows(f"{_PATH}/unknown", _query(service, {}, connector), everything=everything)
    names = {} if as_json else _names(service)
    show_list(
        found,
        (
            "reference", "installation", "amount", "asset", "idempotency key", "sent", "look-ups",
            "next look-up", "person", "reason",
        ),
        lambda row: _unknown(row, names),
        more=more,
        as_json=as_json,
    )  # fmt: skip


@transfers.command()
def settle(
    transfer: Named,
    *,
    accepted: Annotated[bool, typer.Option("--accepted", help="The provider has paid it.")] = False,
    not_sent: Annotated[
        bool, typer.Option("--not-sent", help="The provider has not, and never will; it can be retried then.")
    ] = False,
    note: Annotated[str, typer.Option(help="How you know; kept with it.")],
    payment: Annotated[str | None, typer.Option(help="The provider's own id of the payment.")] = None,
    connector: Connector = None,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Say what became of one whose outcome is unknown. Ask the provider first."""
    if accepted is not_sent:
        raise typer.BadParameter("say --accepted or --not-sent", param_hint="--accepted")
    if payment is not None and not accepted:
        raise typer.BadParameter("only with --accepted", param_hint="--payment")
    body = {"outcome": "ACCEPTED" if accepted else "NOT_SENT", "note": note, "paymentReference": payment}
    _do(url, transfer, connector, "settle", body, as_json=as_json)


def _do(url: str, transfer: str, connector: str | None, verb: str, body: Any, *, as_json: bool) -> None:
    service = Service(url)
    found = _find(service, transfer, connector)
    path = f"{_PATH}/{quote(found['id'], safe='')}"
    service.post(f"{path}/{verb}", body)
    changed = service.get(path)
    if as_json:
        show_json(changed)
    else:
        say(f"{changed['reference']} is {changed['state']}.")


def _find(service: Service, transfer: str, connector: str | None) -> dict[str, Any]:
    """One by its id, or by its reference when that is there once."""
    query = _query(service, {"reference": transfer}, connector)
    found, _ = service.rows(_PATH, query, everything=False)
    if len(found) > 1:
        raise Failed(f"Several installations have a {transfer}; name one with --connector, or take its id.")
    id_ = found[0]["id"] if found else transfer
    try:
        return dict(service.get(f"{_PATH}/{quote(id_, safe='')}"))
    except Failed:
        raise NoSuchThing(f"There is no transfer initiation {transfer}. See: paymux transfers list") from None


def _query(service: Service, asked: Mapping[str, str], connector: str | None) -> dict[str, str]:
    every = dict(asked)
    if connector is not None:
        every["connectorID"] = service.installation(connector)["connectorID"]
    return {"query": json.dumps({"$match": every})} if every else {}


def _names(service: Service) -> dict[str, str]:
    return {row["connectorID"]: row["name"] for row in service.installations()}


def _unknown(row: Mapping[str, Any], names: Mapping[str, str]) -> tuple[Any, ...]:
    order = row["transferInitiation"]
    amount = order["initialAmount"] if row["reversalAmount"] is None else row["reversalAmount"]
    return (
        order["reference"], names.get(order["connectorID"], ""), amount, order["asset"],
        row["idempotencyKey"], time(row["sentAt"]), row["lookUps"], time(row["nextLookUpAt"]),
        "decides" if row["needsPerson"] else "", row["reason"],
    )  # fmt: skip
