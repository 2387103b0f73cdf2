// An assistant with the framework `@openai/agents`, whose runner calls the tools.

import { Agent, OpenAIProvider, Runner, tool } from '@openai/agents';
import { INSTRUCTIONS, TURNS, told, tools } from './tools';

const MODEL = { url: 'https://api.openai.com/v1', name: 'gpt-5-mini' };

/** The text that is returned or thrown is the result of the run. */
export async function run(task: string): Promise<string> {
    // The host adds the real key to each request, after the request has been cleared.
    const modelProvider = new OpenAIProvider({ baseURL: MODEL.url, apiKey: 'the-host-has-the-key', useResponses: false });
    const agent = new Agent({
        name: 'assistant',
        instructions: INSTRUCTIONS,
        model: MODEL.name,
        tools: tools.map(({ name, description, parameters, use }) =>
            tool({ name, description, parameters, strict: true, execute: input => use(input) }),
        ),
    });
    try {
        const runner = new Runner({ modelProvider, tracingDisabled: true });
        const { finalOutput } = await runner.run(agent, task, { maxTurns: TURNS });
        return finalOutput ?? '';
    } catch (error) {
        throw told(error);
    }
}
