// Drives the official OpenAI SDK for Node through Freehold, to providers of every dialect.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { DOWN, KEY, OVERLOADED, PIXEL, SPENT, URL, each, once, refusal, run } from "./suite.mjs";

const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY, maxRetries: 0 });
const messages = [{ role: "user", content: "Say hello to the claims team." }];
const schema = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const tools = [{ type: "function", function: { name: "get_weather", description: "The weather", parameters: schema } }];

each("a_plain_call_is_answered", async (model) => {
  const answer = await client.chat.completions.create({ model, messages, max_completion_tokens: 64 });
  assert.equal(answer.model, model);
  assert.ok(answer.choices[0].message.content && answer.usage.completion_tokens > 0);
});

each("a_stream_comes_in_pieces_with_its_usage", async (model) => {
  const stream = await client.chat.completions.create({
    model, messages, max_completion_tokens: 64, stream: true, stream_options: { include_usage: true },
  });
  let [text, pieces, usage] = ["", 0, null];
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    pieces += 1;
    usage = chunk.usage ?? usage;
  }
  assert.ok(text && pieces > 2 && usage.completion_tokens > 0);
});

each("a_tool_goes_round", async (model) => {
  const asked = await client.chat.completions.create({ model, messages, tools, max_completion_tokens: 64 });
  const [call] = asked.choices[0].message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  JSON.parse(call.function.arguments);
  const answers = asked.choices[0].message.tool_calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "4 degrees" }));
  const turns = [...messages, asked.choices[0].message, ...answers];
  const answered = await client.chat.completions.create({ model, messages: turns, tools, max_completion_tokens: 64 });
  assert.ok(answered.choices[0].message.content);
});

each("streamed_arguments_are_put_together", async (model) => {
  const runner = client.chat.completions.stream({ model, messages, tools, max_completion_tokens: 64 });
  const { choices: [{ message }] } = await runner.finalChatCompletion();
  assert.equal(message.tool_calls[0].function.name, "get_weather");
  JSON.parse(message.tool_calls[0].function.arguments);
});

each("a_picture_is_sent", async (model) => {
  const content = [
    { type: "text", text: "What is this?" },
    { type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } },
  ];
  const answer = await client.chat.completions.create({
    model, messages: [{ role: "user", content }], max_completion_tokens: 64,
  });
  assert.ok(answer.choices[0].message.content);
});

each("an_answer_follows_its_schema", async (model) => {
  const response_format = { type: "json_schema", json_schema: { name: "place", strict: true, schema } };
  const answer = await client.chat.completions.create({ model, messages, response_format, max_completion_tokens: 64 });
  assert.equal(typeof JSON.parse(answer.choices[0].message.content).city, "string");
});

each("reasoning_may_be_asked_for", async (model) => {
  const answer = await client.chat.completions.create({
    model, messages, reasoning_effort: "low", max_completion_tokens: 4000,
  });
  assert.ok(answer.choices[0].message.content);
});

each("a_response_is_answered_whole_and_streamed", async (model) => {
  const whole = await client.responses.create({ model, input: "Say hello.", max_output_tokens: 64, store: false });
  assert.ok(whole.output_text && whole.usage.output_tokens > 0);
  const stream = await client.responses.create({ model, input: "Say hello.", max_output_tokens: 64, store: false, stream: true });
  const kinds = [];
  for await (const event of stream) kinds.push(event.type);
  assert.equal(kinds[0], "response.created");
  assert.ok(["response.completed", "response.incomplete"].includes(kinds.at(-1)), kinds.at(-1));
  assert.ok(kinds.includes("response.output_text.delta"));
});

each("a_response_is_counted_before_it_is_asked_for", async (model) => {
  const counted = await client.responses.inputTokens.count({ model, input: "Say hello." });
  assert.ok(counted.object === "response.input_tokens" && counted.input_tokens > 0);
});

once("a_conversation_is_compacted_and_gone_on_from", async () => {
  const model = "sim-responses";
  const compacted = await client.responses.compact({ model, input: [{ role: "user", content: "Say hello." }] });
  assert.deepEqual(compacted.output.map((item) => item.type), ["message", "compaction"]);
  const input = [...compacted.output, { role: "user", content: "And now?" }];
  assert.ok((await client.responses.create({ model, input, max_output_tokens: 16 })).output_text);
});

once("errors_are_of_the_sdks_kinds", async () => {
  const ask = (model, more = {}) => client.chat.completions.create({ model, messages, ...more });
  assert.equal((await refusal(OpenAI.NotFoundError, ask("nothing"))).code, "model_not_found");
  assert.equal((await refusal(OpenAI.BadRequestError, ask("sim-openai", { messages: "none" }))).status, 400);
  assert.equal((await refusal(OpenAI.InternalServerError, ask(DOWN))).status, 502);
  assert.equal((await refusal(OpenAI.InternalServerError, ask(OVERLOADED))).status, 503);
  assert.equal((await refusal(OpenAI.RateLimitError, ask(SPENT))).code, "budget_spent");
  const stranger = new OpenAI({ baseURL: `${URL}/v1`, apiKey: "fh_no_key", maxRetries: 0 });
  await refusal(OpenAI.AuthenticationError, stranger.chat.completions.create({ model: "sim-openai", messages }));
});

await run("openai for Node");
