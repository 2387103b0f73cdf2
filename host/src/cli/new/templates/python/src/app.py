"""Asks a person what to write, and sends the answer by email.

Import every module at the top of this file: an import inside a function fails when the agent runs.
"""

from componentize_py_types import Err
from wit_world import WitWorld as Program
from wit_world.imports import email, guidance, log
from wit_world.imports.email import Message
from wit_world.imports.guidance import Question
from wit_world.imports.log import Level
from wit_world.imports.types import Rationale, Refusal, Refusal_Rejected, Refusal_Unresolved


class WitWorld(Program):
    def run(self, task: str) -> str:
        """The task is the address to write to. `raise Err(text)` ends the run as failed, with this text."""
        to = task.strip()
        log.log(Level.INFO, f"the recipient is {to}")
        try:
            question = Question(
                text=f"What shall I write to {to}?",
                choices=["The report is ready.", "The report needs one more day."],
            )
            body = guidance.ask(question, why("The task names a recipient and no text."))

            # The call takes as long as the reviewers take. The host may stop the agent meanwhile, and later run the
            # agent again from its start with the recorded answers.
            receipt = email.send_email(message(to, body), why("A person gave this text."))
        except Err as refusal:
            raise Err(refused(refusal.value)) from None

        # A reviewer may have edited the message; the receipt has the message as it was sent.
        return f"sent to {', '.join(receipt.sent.to)}: {receipt.sent.body}"


def message(to: str, body: str) -> Message:
    return Message(to=[to], cc=[], bcc=[], subject="The report", body=body, in_reply_to=None, attachments=[])


def why(summary: str) -> Rationale:
    """What a reviewer reads as the agent's own reasons."""
    return Rationale(summary=summary, confidence=None, exhibits=[])


def refused(refusal: Refusal) -> str:
    match refusal:
        case Refusal_Rejected(guidance):
            return f"a reviewer rejected the call: {guidance}"
        case Refusal_Unresolved(reason):
            return f"the outcome is unknown, so do not send again: {reason}"
        case _:
            return f"the call was not done: {refusal}"
