// Does with generated types what programs do with a host. The compiler holds every path, parameter, body and answer against the document.

import createClient from "openapi-fetch";
import type { components, paths } from "./holdshort.js";

const client = createClient<paths>({
  baseUrl: process.env.HOLDSHORT_URL,
  headers: { Authorization: `Bearer ${process.env.HOLDSHORT_TOKEN}` },
});
type Approval = components["schemas"]["Approval"];
type DecisionRequest = components["schemas"]["DecisionRequest"];
const used = new Set<string>();

/** What an operation answers; fails where it is a problem. */
async function asked<T>(name: string, answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (data === undefined) throw new Error(`${name}: ${response.status} ${JSON.stringify(error)}`);
  used.add(name);
  return data;
}

function holds(fact: boolean, what: unknown): asserts fact {
  if (!fact) throw new Error(JSON.stringify(what));
}

async function until<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  for (let n = 0; n < 3000; n++) {
    const found = await ask();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`still no ${what}`);
}

async function start(task: string, key: string): Promise<string> {
  const send = () =>
    asked("start", client.POST("/v1/runs", { params: { header: { "Idempotency-Key": key } }, body: { agent: "scripted", task } }));
  const [first, again] = [await send(), await send()];
  holds(first.id === again.id, "the same request has the same run");
  return first.id;
}

async function list(query: paths["/v1/approvals"]["get"]["parameters"]["query"]) {
  return (await asked("list", client.GET("/v1/approvals", { params: { query } }))).approvals;
}

async function show(id: string): Promise<Approval> {
  const shown = await asked("read", client.GET("/v1/approvals/{id}", { params: { path: { id } } }));
  holds("proposal" in shown, shown);
  return shown;
}

/** The approval that a new run waits for. */
async function held(task: string, key: string): Promise<Approval & { digest: string }> {
  const run = await start(task, key);
  const row = await until("held call", async () => (await list({ run }))[0]);
  const approval = await show(row.id);
  holds(approval.digest !== null, approval);
  return { ...approval, digest: approval.digest };
}

async function decide(id: string, body: DecisionRequest) {
  return asked(`type` in body ? body.type : "decide", client.POST("/v1/approvals/{id}/decisions", { params: { path: { id } }, body }));
}

async function over(id: string) {
  return until("end", async () => {
    const run = await asked("show", client.GET("/v1/runs/{id}", { params: { path: { id } } }));
    return ["running", "waiting", "sleeping"].includes(run.state) ? undefined : run;
  });
}

const first = await held("email ann@example.org First", "ts-first");
holds((await decide(first.id, { type: "approve", digest: first.digest })).state === "approved", first);
holds((await over(first.run)).state === "finished", "finished");

const second = await held("email ann@example.org Second", "ts-second");
holds(second.proposal !== null, second);
await decide(second.id, { type: "edit", digest: second.digest, arguments: second.proposal.action.arguments });

const third = await held("email ann@example.org Third", "ts-third");
await decide(third.id, { type: "reject", digest: third.digest, message: "- shorter" });
const rejected = (await over(third.run)).result;
holds(rejected !== null && "ok" in rejected && rejected.ok.includes("- shorter"), rejected);

const question = await held("ask Which?", "ts-question");
await decide(question.id, { type: "respond", digest: question.digest, message: "yes" });

const fifth = await held("email ann@example.org Same\nemail ann@example.org Same", "ts-grant");
const draft = await asked("draft", client.POST("/v1/approvals/{id}/grant", { params: { path: { id: fifth.id } }, body: { calls: 2, lasts_ms: 60_000 } }));
await decide(fifth.id, { type: "approve", digest: fifth.digest, grant: draft.grant });
holds((await over(fifth.run)).state === "finished", "the second was cleared by the grant");
const { grants } = await asked("grants", client.GET("/v1/grants", { params: { query: { standing: true } } }));
holds(grants[0]?.id === fifth.id, grants);
await asked("revoke", client.POST("/v1/grants/{id}/revocation", { params: { path: { id: fifth.id } }, body: {} }));

const sixth = await held("email ann@example.org Never", "ts-cancelled");
await asked("cancel", client.POST("/v1/runs/{id}/cancel", { params: { path: { id: sixth.run } }, body: { reason: "enough" } }));

const seventh = await held("deploy main production notes", "ts-doubt");
await decide(seventh.id, { type: "approve", digest: seventh.digest });
const doubt = await until("doubt", async () => (await list({ state: "in-doubt", run: seventh.run }))[0]);
await asked("resolve", client.POST("/v1/runs/{id}/calls/{n}/resolution", { params: { path: { id: doubt.run, n: doubt.call } }, body: { type: "not-done", attempt: doubt.attempts } }));

const { events } = await asked("events", client.GET("/v1/runs/{id}/events", { params: { path: { id: first.run } } }));
const created = events[0];
holds(created?.type === "run-created" && created.data.agent === "scripted", created);

const stream = await asked("stream", client.GET("/v1/events", { params: { query: { after: 0 } }, parseAs: "stream" }));
holds(stream !== null, stream);
const reader = stream.getReader();
const begin = new TextDecoder().decode((await reader.read()).value);
holds(begin.startsWith("id: 1\nevent: run-created\n") || begin.startsWith("event: run-created\n") || begin.startsWith("id:1\n"), begin);
await reader.cancel();

const missing = await client.GET("/v1/runs/{id}", { params: { path: { id: "nothing" } } });
holds(missing.error?.type === "urn:holdshort:problem:not-found", missing.error);

console.log(`${used.size} operations done`);
