// An assistant with LangGraph, whose prebuilt agent calls the tools.

import { tool } from '@langchain/core/tools';
import { createReactAgent } from '@langchain/langgraph/prebuilt';
import { ChatOpenAI } from '@langchain/openai';
import { INSTRUCTIONS, TURNS, told, tools } from './tools';

const MODEL = { url: 'https://api.openai.com/v1', name: 'gpt-5-mini' };

/** The text that is returned or thrown is the result of the run. */
export async function run(task: string): Promise<string> {
    // The host adds the real key to each request, after the request has been cleared.
    const llm = new ChatOpenAI({ model: MODEL.name, apiKey: 'the-host-has-the-key', configuration: { baseURL: MODEL.url } });
    const agent = createReactAgent({
        llm,
        prompt: INSTRUCTIONS,
        tools: tools.map(({ name, description, parameters, use }) =>
            tool(input => use(input), { name, description, schema: parameters }),
        ),
    });
    try {
        const { messages } = await agent.invoke({ messages: [{ role: 'user', content: task }] }, { recursionLimit: 2 * TURNS });
        return messages.at(-1)?.text ?? '';
    } catch (error) {
        throw told(error);
    }
}
