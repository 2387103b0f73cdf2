// Asks a person what to write, and sends the answer by email.

import { type Message, sendEmail } from 'holdshort:agent/email@0.1.0';
import { ask } from 'holdshort:agent/guidance@0.1.0';
import { log } from 'holdshort:agent/log@0.1.0';
import type { Rationale, Refusal } from 'holdshort:agent/types@0.1.0';

/** The task is the address to write to. A thrown string ends the run as failed, with this text. */
export function run(task: string): string {
    const to = task.trim();
    log('info', `the recipient is ${to}`);
    try {
        const question = {
            text: `What shall I write to ${to}?`,
            choices: ['The report is ready.', 'The report needs one more day.'],
        };
        const body = ask(question, why('The task names a recipient and no text.'));

        // The call takes as long as the reviewers take. The host may stop the agent meanwhile, and later run the agent
        // again from its start with the recorded answers.
        const { sent } = sendEmail(message(to, body), why('A person gave this text.'));

        // A reviewer may have edited the message; the receipt has the message as it was sent.
        return `sent to ${sent.to.join(', ')}: ${sent.body}`;
    } catch (error) {
        throw refused(error);
    }
}

function message(to: string, body: string): Message {
    return { to: [to], cc: [], bcc: [], subject: 'The report', body, attachments: [] };
}

/** What a reviewer reads as the agent's own reasons. */
function why(summary: string): Rationale {
    return { summary, exhibits: [] };
}

/** An imported function throws an object whose `payload` is the refusal. */
function refused(error: unknown): string {
    if (typeof error !== 'object' || error === null || !('payload' in error)) {
        return String(error);
    }
    const refusal = error.payload as Refusal;
    switch (refusal.tag) {
        case 'rejected':
            return `a reviewer rejected the call: ${refusal.val}`;
        case 'unresolved':
            return `the outcome is unknown, so do not send again: ${refusal.val}`;
        default:
            return `the call was not done: ${JSON.stringify(refusal)}`;
    }
}
