// The tools of these agents: functions of Holdshort's interfaces that a model may call. A tool takes as long as its
// reviewers take, and the model reads what they have decided.

import { sendEmail } from 'holdshort:agent/email@0.1.0';
import { ask } from 'holdshort:agent/guidance@0.1.0';
import { log } from 'holdshort:agent/log@0.1.0';
import { transferFunds } from 'holdshort:agent/payments@0.1.0';
import type { Refusal } from 'holdshort:agent/types@0.1.0';

export const INSTRUCTIONS =
    'You are an assistant that writes emails and pays invoices. Ask a person if the task leaves something open. People ' +
    'read each email and each payment before it leaves. If they reject one, follow their reason or give up; never ' +
    'propose a rejected one unchanged.';

/** How often a model may answer in one run. */
export const TURNS = 20;

const WHY = 'Why this is needed, in one sentence for the people who decide';

export const tools = [
    tool(
        'send_email',
        'Sends one email. The answer is the email as it was sent, because reviewers may edit it.',
        { to: 'The address of the recipient', subject: 'The subject, one line', body: 'The text', why: WHY },
        ({ to, subject, body, why }) => {
            const message = { to: [to], cc: [], bcc: [], subject, body, attachments: [] };
            const { sent } = sendEmail(message, { summary: why, exhibits: [] });
            return `sent to ${sent.to.join(', ')}: ${sent.body}`;
        },
    ),
    tool(
        'transfer_funds',
        'Pays from the account `operating`. The answer is the transfer as it was made.',
        {
            payee: 'Who is paid',
            minor_units: "The amount in the currency's smallest unit, in digits: 12050 for 120.50 EUR",
            currency: 'The ISO code of the currency',
            reference: 'What the payee is told, such as an invoice number',
            why: WHY,
        },
        ({ payee, minor_units, currency, reference, why }) => {
            if (!/^[0-9]{1,15}$/.test(minor_units)) throw 'the argument minor_units is no number of up to 15 digits';
            const amount = { minorUnits: BigInt(minor_units), currency };
            const transfer = { source: 'operating', payee, amount, reference };
            const { transferred } = transferFunds(transfer, { summary: why, exhibits: [] });
            return `transferred ${transferred.amount.minorUnits} ${transferred.amount.currency} to ${transferred.payee}`;
        },
    ),
    tool('ask_person', 'Asks a person, and returns the answer.', { question: 'The question', why: WHY }, ({ question, why }) =>
        ask({ text: question, choices: [] }, { summary: why, exhibits: [] }),
    ),
];

/** Makes a tool whose arguments are texts. `fields` has the name and the description of each argument. */
function tool<Name extends string>(
    name: string,
    description: string,
    fields: Record<Name, string>,
    call: (values: Record<Name, string>) => string,
) {
    const names = Object.keys(fields) as Name[];
    const properties = Object.fromEntries(names.map(name => [name, { type: 'string' as const, description: fields[name] }]));
    const parameters = { type: 'object' as const, properties, required: names as string[], additionalProperties: false as const };
    /** What the model is told, also about a call that was not done. The arguments are the model's, as JSON or read. */
    const use = (given: unknown): string => {
        try {
            const values = typeof given === 'string' ? JSON.parse(given) : given;
            const missing = names.find(name => typeof values?.[name] !== 'string');
            if (missing) throw `the argument ${missing} is no text`;
            return call(values);
        } catch (error) {
            const why = told(error);
            log('info', `${name}: ${why}`);
            return `not done: ${why}`;
        }
    };
    return { name, description, parameters, use };
}

/** The text of an error. An imported function throws an object whose `payload` is the refusal. */
export function told(error: unknown): string {
    if (typeof error !== 'object' || error === null || !('payload' in error)) return String(error);
    const refusal = error.payload as Refusal;
    switch (refusal.tag) {
        case 'rejected':
            return `a reviewer rejected the call: ${refusal.val}`;
        case 'unresolved':
            return `the outcome is unknown, so do not call again: ${refusal.val}`;
        default:
            return JSON.stringify(refusal);
    }
}
