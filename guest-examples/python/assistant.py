"""An assistant: a language model writes emails and pays invoices, with people who decide.

Import every module at the top of a file: an import inside a function fails when the agent runs.
"""

from typing import Annotated

from toolbox import tool, work
from wit_world import WitWorld as Program
from wit_world.imports import email, guidance, payments
from wit_world.imports.types import Money, Rationale

INSTRUCTIONS = (
    "You are an assistant that writes emails and pays invoices. Ask a person if the task leaves something open. People "
    "read each email and each payment before it leaves. If they reject one, follow their reason or give up; never "
    "propose a rejected one unchanged."
)

Why = Annotated[str, "Why this is needed, in one sentence for the people who decide"]


@tool
def send_email(
    to: Annotated[str, "The address of the recipient"],
    subject: Annotated[str, "The subject, one line"],
    body: Annotated[str, "The text"],
    why: Why,
) -> str:
    """Sends one email. The answer is the email as it was sent, because reviewers may edit it."""
    message = email.Message([to], [], [], subject, body, in_reply_to=None, attachments=[])
    sent = email.send_email(message, because(why)).sent
    return f"sent to {', '.join(sent.to)}: {sent.body}"


@tool
def transfer_funds(
    payee: Annotated[str, "Who is paid"],
    minor_units: Annotated[int, "The amount in the currency's smallest unit: 12050 for 120.50 EUR"],
    currency: Annotated[str, "The ISO code of the currency"],
    reference: Annotated[str, "What the payee is told, such as an invoice number"],
    why: Why,
) -> str:
    """Pays from the account `operating`. The answer is the transfer as it was made."""
    if not 0 < minor_units < 10**15:
        raise ValueError("the argument `minor_units` is out of range")
    transfer = payments.Transfer("operating", payee, Money(minor_units, currency), reference)
    done = payments.transfer_funds(transfer, because(why)).transferred
    return f"transferred {done.amount.minor_units} {done.amount.currency} to {done.payee}"


@tool
def ask_person(question: Annotated[str, "The question"], why: Why) -> str:
    """Asks a person, and returns the answer."""
    return guidance.ask(guidance.Question(question, choices=[]), because(why))


def because(why: str) -> Rationale:
    """What a reviewer reads as the agent's own reasons."""
    return Rationale(why, confidence=None, exhibits=[])


class WitWorld(Program):
    def run(self, task: str) -> str:
        """The result is the last text of the model. `raise Err(text)` ends the run as failed, with this text."""
        return work(task, INSTRUCTIONS, [send_email, transfer_funds, ask_person])
