// Asks questions of an OpenAI-compatible server with OpenAI's own client for Node.js and prints what it reads. Questions and answers are
// those of the program in test/openai, which does the same with the client for Go: a JSON array on standard input, one object a line on
// standard output. Environment: OPENAI_BASE_URL.
import OpenAI from 'openai';
import { text } from 'node:stream/consumers';

const client = new OpenAI({ apiKey: 'none', maxRetries: 0 });

async function ask(q, a) {
  const params = { model: q.model, max_tokens: q.max_tokens, temperature: 0, seed: 1 };
  if (q.chat) params.messages = [{ role: 'user', content: q.prompt }];
  else params.prompt = q.prompt;
  if (q.stream) Object.assign(params, { stream: true, stream_options: { include_usage: true } });
  const answer = await (q.chat ? client.chat.completions : client.completions).create(params);
  for await (const piece of q.stream ? answer : [answer]) {
    for (const choice of piece.choices) {
      const said = q.chat ? (choice.delta ?? choice.message).content : choice.text;
      if (said) a.chunks++;
      a.text += said ?? '';
      a.finish_reason = choice.finish_reason ?? a.finish_reason;
    }
    if (piece.usage) {
      const { prompt_tokens, completion_tokens, prompt_tokens_details } = piece.usage;
      a.usage = { input: prompt_tokens, output: completion_tokens, cached: prompt_tokens_details?.cached_tokens ?? 0 };
    }
  }
}

for (const q of JSON.parse(await text(process.stdin))) {
  const a = { text: '', finish_reason: '', usage: null, chunks: 0, status: 0, error: '' };
  try {
    await ask(q, a);
  } catch (error) {
    a.status = error.status ?? 0;
    a.error = error.message;
  }
  console.log(JSON.stringify(a));
}
