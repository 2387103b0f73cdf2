"""Does with a generated client what programs do with a host. Bodies are the client's own types; no JSON is written by hand."""

import os
import time

from holdshort_client import AuthenticatedClient
from holdshort_client.api.agents import list_agents
from holdshort_client.api.approvals import decide, list_approvals, list_decisions, show_approval, show_exhibit
from holdshort_client.api.grants import draft_grant, list_grants, revoke_grant, show_grant
from holdshort_client.api.host import is_ready, show_stats
from holdshort_client.api.policy import explain_approval
from holdshort_client.api.runs import cancel_run, list_run_events, list_run_logs, list_runs, resolve_call, show_run, start_run
from holdshort_client import models as m

client = AuthenticatedClient(base_url=os.environ["HOLDSHORT_URL"], token=os.environ["HOLDSHORT_TOKEN"])
used = set()


def asked(operation, *path, expected=200, **more):
    """The parsed answer of an operation, which has the expected status."""
    answer = operation.sync_detailed(*path, client=client, **more)
    assert answer.status_code == expected, (operation.__name__, answer.status_code, answer.content)
    used.add(operation.__name__)
    return answer.parsed


def until(what, ask):
    for _ in range(3000):
        found = ask()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"still no {what}")


def start(task, key):
    body = m.RunRequest(agent="scripted", task=task)
    started = asked(start_run, body=body, idempotency_key=key, expected=201)
    again = asked(start_run, body=body, idempotency_key=key, expected=201)
    assert started.id == again.id, "the same request has the same run"
    return started.id


def held(task, key):
    """The approval that a new run waits for."""
    run = start(task, key)
    page = until("held call", lambda: asked(list_approvals, run=run).approvals)
    return asked(show_approval, page[0].id)


def state(approval):
    return asked(show_approval, approval.id).state


def over(run):
    return until("end", lambda: (lambda row: row if row.state not in ("running", "waiting", "sleeping") else None)(asked(show_run, run)))


asked(is_ready)
assert [agent.name for agent in asked(list_agents).agents] == ["scripted"]

# Approve, with the digest of what was shown, and its evidence.
first = held("email ann@example.org First", "first")
exhibit = first.proposal.exhibits[0]
asked(show_exhibit, first.id, exhibit.digest)
asked(explain_approval, first.id)
answer = asked(decide, first.id, body=m.ApproveRequest(type_=m.ApproveRequestType.APPROVE, digest=first.digest))
assert answer.state == "approved" and not answer.repeated
assert asked(decide, first.id, body=m.ApproveRequest(type_=m.ApproveRequestType.APPROVE, digest=first.digest)).repeated
assert over(first.run).state == "finished"

# Edit: all arguments, one of them changed. The editor has not seen the new message, so they approve it too.
second = held("email ann@example.org Second", "second")
arguments = m.EditRequestArguments.from_dict(second.proposal.action.arguments.to_dict())
arguments["message"]["subject"] = "Shorter"
asked(decide, second.id, expected=202, body=m.EditRequest(type_=m.EditRequestType.EDIT, digest=second.digest, arguments=arguments))
edited = asked(show_approval, second.id)
assert edited.revision == 2 and edited.digest != second.digest
asked(decide, second.id, expected=409, body=m.ApproveRequest(type_=m.ApproveRequestType.APPROVE, digest=second.digest))
asked(decide, second.id, body=m.ApproveRequest(type_=m.ApproveRequestType.APPROVE, digest=edited.digest))
assert over(second.run).state == "finished"

# Reject, with guidance and without.
third = held("email ann@example.org Third\nemail ann@example.org Fourth", "third")
asked(decide, third.id, body=m.RejectRequest(type_=m.RejectRequestType.REJECT, digest=third.digest, message="- shorter"))
fourth = until("fourth", lambda: asked(list_approvals, run=third.run).approvals)[0]
asked(decide, fourth.id, body=m.RejectRequest(type_=m.RejectRequestType.REJECT, digest=fourth.digest))
result = over(third.run).result.to_dict()["ok"]
assert "- shorter" in result and "no reason was given" in result, result

# Answer a question.
question = held("ask Which?", "question")
asked(decide, question.id, body=m.AnswerRequest(type_=m.AnswerRequestType.RESPOND, digest=question.digest, answer="yes"))
assert "yes" in over(question.run).result.to_dict()["ok"]

# A grant: drafted, made with an approval, used, listed, revoked.
fifth = held("email ann@example.org Same\nemail ann@example.org Same", "grant")
draft = asked(draft_grant, fifth.id, body=m.Terms(calls=3, lasts_ms=3_600_000))
body = m.ApproveRequest(type_=m.ApproveRequestType.APPROVE, digest=fifth.digest, grant=draft.grant)
asked(decide, fifth.id, body=body)
assert over(fifth.run).state == "finished"
standing = asked(list_grants, standing=True).grants
assert [grant.id for grant in standing] == [fifth.id] and standing[0].used.count == 1
assert asked(show_grant, fifth.id).policy == draft.policy or "permit" in draft.policy
asked(revoke_grant, fifth.id, body=m.NoTerms())
assert asked(list_grants, standing=True).grants == []

# Cancel.
sixth = held("email ann@example.org Never", "cancelled")
assert asked(cancel_run, sixth.run, body=m.CancelRequest(reason="enough")).state == "cancelled"
assert state(sixth) == "cancelled"

# Resolve an effect in doubt.
seventh = held("deploy main production notes", "doubt")
asked(decide, seventh.id, body=m.ApproveRequest(type_=m.ApproveRequestType.APPROVE, digest=seventh.digest))
until("doubt", lambda: asked(list_approvals, state=m.CallStateFilter.IN_DOUBT).approvals)
settled = m.OtherRequest(type_=m.OtherRequestType.NOT_DONE, attempt=1, message="I looked")
assert asked(resolve_call, seventh.run, seventh.call, body=settled).state == "failed"
assert over(seventh.run).state == "finished"

# Lists, page by page; history, logs, figures; and the stream, which is plain HTTP.
rows, page = [], asked(list_runs, limit=2)
while True:
    rows += page.runs
    if page.next_ is None:
        break
    page = asked(list_runs, limit=2, before=page.next_)
assert len(rows) == len({row.id for row in rows}) == 7, rows
kinds = [event.type_ for event in asked(list_run_events, first.run).events]
assert kinds[0] == "run-created" and kinds[-1] == "run-finished", kinds
asked(list_run_logs, first.run)
assert len(asked(list_decisions, by="rita").decisions) >= 7
asked(show_stats)
with client.get_httpx_client().stream("GET", "/v1/events", params={"after": 0}) as stream:
    ids = [line for line, _ in zip((line for line in stream.iter_lines() if line.startswith("id:")), range(5))]
    assert ids == [f"id: {n}" for n in range(1, 6)], ids
problem = asked(show_run, "nothing", expected=404)
assert problem.type_ == "urn:holdshort:problem:not-found" and problem.status == 404


print(f"{len(used)} operations done")
