// An assistant with the SDK `@anthropic-ai/sdk`. The loop is written out: the model answers or calls tools, and reads
// their results.

import Anthropic from '@anthropic-ai/sdk';
import { INSTRUCTIONS, TURNS, told, tools } from './tools';

const MODEL = { url: 'https://api.anthropic.com', name: 'claude-sonnet-4-5' };

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
    const client = new Anthropic({ baseURL: MODEL.url, apiKey: 'the-host-has-the-key' });
    const messages: Anthropic.MessageParam[] = [{ role: 'user', content: task }];
    for (let turn = 0; turn < TURNS; turn++) {
        const { content } = await client.messages.create({
            model: MODEL.name,
            max_tokens: 4096,
            system: INSTRUCTIONS,
            messages,
            tools: tools.map(({ name, description, parameters }) => ({ name, description, input_schema: parameters })),
        });
        const calls = content.filter(block => block.type === 'tool_use');
        if (calls.length === 0) return content.map(block => (block.type === 'text' ? block.text : '')).join('');
        messages.push({ role: 'assistant', content });
        const results = calls.map(call => {
            const tool = tools.find(tool => tool.name === call.name);
            const content = tool ? tool.use(call.input) : `there is no tool ${call.name}`;
            return { type: 'tool_result' as const, tool_use_id: call.id, content };
        });
        messages.push({ role: 'user', content: results });
    }
    throw `no result after ${TURNS} answers of the model`;
}
