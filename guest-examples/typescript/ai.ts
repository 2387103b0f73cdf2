// An assistant with Vercel's SDK `ai`, whose `generateText` calls the tools.

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, jsonSchema, stepCountIs, tool } from 'ai';
import { INSTRUCTIONS, TURNS, told, tools } from './tools';

const MODEL = { url: 'https://api.openai.com/v1', name: 'gpt-5-mini' };

/** The text that is returned or thrown is the result of the run. */
export async function run(task: string): Promise<string> {
    // The host adds the real key to each request, after the request has been cleared.
    const provider = createOpenAICompatible({ name: 'model', baseURL: MODEL.url, apiKey: 'the-host-has-the-key' });
    try {
        const { text } = await generateText({
            model: provider(MODEL.name),
            system: INSTRUCTIONS,
            prompt: task,
            stopWhen: stepCountIs(TURNS),
            tools: Object.fromEntries(
                tools.map(({ name, description, parameters, use }) => [
                    name,
                    tool({ description, inputSchema: jsonSchema(parameters), execute: input => use(input) }),
                ]),
            ),
        });
        return text;
    } catch (error) {
        throw told(error);
    }
}
