// Drives the official Anthropic SDK for Node through Freehold, to providers of every dialect.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { DOWN, KEY, OVERLOADED, PIXEL, SPENT, URL, each, once, refusal, run } from "./suite.mjs";

const client = new Anthropic({ baseURL: URL, apiKey: KEY, authToken: null, maxRetries: 0 });
const messages = [{ role: "user", content: "Say hello to the claims team." }];
const schema = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const tools = [{ name: "get_weather", description: "The weather", input_schema: schema }];
const ask = (model, more = {}) => client.messages.create({ model, messages, max_tokens: 64, ...more });
const text = (answer) => answer.content.filter((block) => block.type === "text").map((block) => block.text).join("");

each("a_plain_call_is_answered", async (model) => {
  const answer = await ask(model);
  assert.equal(answer.model, model);
  assert.ok(text(answer) && answer.usage.output_tokens > 0);
});

each("a_stream_is_put_together", async (model) => {
  const stream = client.messages.stream({ model, messages, max_tokens: 64 });
  let pieces = 0;
  stream.on("text", () => (pieces += 1));
  const answer = await stream.finalMessage();
  assert.ok(text(answer) && pieces > 1 && answer.usage.output_tokens > 0);
});

each("a_tool_goes_round", async (model) => {
  const asked = await ask(model, { tools });
  const calls = asked.content.filter((block) => block.type === "tool_use");
  assert.equal(calls[0].name, "get_weather");
  assert.equal(asked.stop_reason, "tool_use");
  const results = calls.map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: "4 degrees" }));
  const turns = [...messages, { role: "assistant", content: asked.content }, { role: "user", content: results }];
  assert.ok(text(await ask(model, { messages: turns, tools })));
});

each("streamed_arguments_are_put_together", async (model) => {
  const answer = await client.messages.stream({ model, messages, tools, max_tokens: 64 }).finalMessage();
  const call = answer.content.find((block) => block.type === "tool_use");
  assert.equal(typeof call.input.city, "string");
});

each("a_picture_is_sent", async (model) => {
  const source = { type: "base64", media_type: "image/png", data: PIXEL };
  const content = [{ type: "image", source }, { type: "text", text: "What is this?" }];
  assert.ok(text(await ask(model, { messages: [{ role: "user", content }] })));
});

each("an_answer_follows_its_schema", async (model) => {
  const answer = await ask(model, { output_config: { format: { type: "json_schema", schema } } });
  assert.equal(typeof JSON.parse(text(answer)).city, "string");
});

each("reasoning_may_be_asked_for", async (model) => {
  const answer = await ask(model, { thinking: { type: "enabled", budget_tokens: 1024 }, max_tokens: 4000 });
  assert.ok(text(answer));
  if (model === "sim-anthropic") assert.ok(answer.content.some((block) => block.type === "thinking" && block.signature));
});

once("errors_are_of_the_sdks_kinds", async () => {
  assert.equal((await refusal(Anthropic.NotFoundError, ask("nothing"))).error.error.type, "not_found_error");
  await refusal(Anthropic.BadRequestError, ask("sim-anthropic", { messages: "none" }));
  assert.equal((await refusal(Anthropic.InternalServerError, ask(DOWN))).status, 502);
  assert.equal((await refusal(Anthropic.InternalServerError, ask(OVERLOADED))).status, 529);
  await refusal(Anthropic.RateLimitError, ask(SPENT));
  const stranger = new Anthropic({ baseURL: URL, apiKey: "fh_no_key", authToken: null, maxRetries: 0 });
  await refusal(Anthropic.AuthenticationError, stranger.messages.create({ model: "sim-anthropic", messages, max_tokens: 9 }));
});

await run("anthropic for Node");
