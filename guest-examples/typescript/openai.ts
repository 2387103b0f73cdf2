// An assistant with the SDK `openai`. The loop is written out: the model answers or calls tools, and reads their results.

import OpenAI from 'openai';
import type { ChatCompletionMessageParam } from 'openai/resources/chat/completions';
import { INSTRUCTIONS, TURNS, told, tools } from './tools';

const MODEL = { url: 'https://api.openai.com/v1', name: 'gpt-5-mini' };

/** The text that is returned or thrown is the result of the run. */
export async function run(task: string): Promise<string> {
    try {
        return await assist(task);
    } catch (error) {
        throw told(error);
    }
}

async function assist(task: string): Promise<string> {
    // The host adds the real key to each request, after the request has been cleared.
    const client = new OpenAI({ baseURL: MODEL.url, apiKey: 'the-host-has-the-key' });
    const messages: ChatCompletionMessageParam[] = [
        { role: 'system', content: INSTRUCTIONS },
        { role: 'user', content: task },
    ];
    for (let turn = 0; turn < TURNS; turn++) {
        const { choices } = await client.chat.completions.create({
            model: MODEL.name,
            messages,
            tools: tools.map(({ name, description, parameters }) => ({
                type: 'function' as const,
                function: { name, description, parameters },
            })),
        });
        const message = choices[0]?.message;
        if (!message) throw 'the model gave no answer';
        if (!message.tool_calls?.length) return message.content ?? '';
        messages.push(message);
        for (const call of message.tool_calls) {
            const asked = call.type === 'function' ? call.function : { name: call.custom.name, arguments: call.custom.input };
            const tool = tools.find(tool => tool.name === asked.name);
            const content = tool ? tool.use(asked.arguments) : `there is no tool ${asked.name}`;
            messages.push({ role: 'tool', tool_call_id: call.id, content });
        }
    }
    throw `no result after ${TURNS} answers of the model`;
}
