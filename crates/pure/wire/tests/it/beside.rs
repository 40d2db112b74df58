//! Vectors and rankings between dialects: what a provider is sent, what a client gets, what was given up, pair by pair.
//! Requests and answers have the shapes of the API references: OpenAI's embeddings, the Gemini API's embedContent and
//! batchEmbedContents, Cohere's v2 embed and rerank, Jina's reranker.

use bytes::Bytes;
use domain::{Fault, FaultClass, Meter, Usage};
use wire::{Address, Ask, Dialect, Maker, Operation, Outgoing, Quirks, ReplyPlan, Seen, outgoing, reply_body, scan};

use crate::support::plan;

use Dialect::{Cohere, Gemini, OpenAiChat};

fn sent(client: Dialect, upstream: Dialect, operation: Operation, body: &str) -> Result<Outgoing, Fault> {
    let address = Address { model: "claims-triage".into(), stream: false };
    let head = scan(client, operation, Some(&address), body.as_bytes()).unwrap();
    let ask = Ask {
        upstream_model: "up",
        quirks: &Quirks::GENERIC,
        insert_max_output: None,
        default_max_output: 1,
        maker: Maker::of("provider"),
        foreign: false,
    };
    outgoing(client, operation, &Bytes::copy_from_slice(body.as_bytes()), &head, upstream, &ask)
}

/// What is sent: its path, its body, and the pointers of what was lost.
fn told(client: Dialect, upstream: Dialect, operation: Operation, body: &str) -> (String, String, Vec<String>) {
    let out = sent(client, upstream, operation, body).unwrap();
    let losses = out
        .losses
        .iter()
        .map(|loss| format!("{} {}", format!("{:?}", loss.kind).to_lowercase(), loss.pointer))
        .collect();
    (out.path.into_owned(), String::from_utf8(out.body.to_vec()).unwrap(), losses)
}

fn got(
    client: Dialect,
    upstream: Dialect,
    operation: Operation,
    asked: &str,
    answer: &str,
) -> Result<(String, Seen), Fault> {
    let plan = ReplyPlan {
        client,
        operation,
        asked_model: "claims-triage".into(),
        maker: Maker::of("provider"),
        answer_id: "answer_1".into(),
        request: Bytes::copy_from_slice(asked.as_bytes()),
        ..plan(upstream)
    };
    let (out, seen) = reply_body(&plan, answer.as_bytes())?;
    Ok((String::from_utf8(out).unwrap(), seen))
}

const OPENAI: &str = r#"{"model":"claims-triage","input":["Water damage","Storm"],"dimensions":3,"user":"ann"}"#;
const GEMINI: &str = r#"{"requests":[
    {"model":"models/claims-triage","content":{"role":"user","parts":[{"text":"Water damage"}]},"taskType":"RETRIEVAL_DOCUMENT","title":"One","outputDimensionality":3},
    {"model":"models/claims-triage","content":{"parts":[{"text":"Storm"}]},"task_type":"RETRIEVAL_DOCUMENT","output_dimensionality":3}]}"#;
const COHERE: &str = r#"{"model":"claims-triage","texts":["Water damage","Storm"],"input_type":"search_document","embedding_types":["float"],"output_dimension":3,"truncate":"START","max_tokens":512}"#;

/// Digits that no 64-bit float holds stay as they are.
const FIRST: &str = "[0.10000000000000000555,-2e-3, 1]";
const SECOND: &str = "[4,5.5,6E-1]";

fn openai_answer() -> String {
    format!(
        r#"{{"object":"list","data":[{{"object":"embedding","index":1,"embedding":{SECOND}}},{{"object":"embedding","index":0,"embedding":{FIRST}}}],"model":"text-embedding-3-small","usage":{{"prompt_tokens":8,"total_tokens":8}}}}"#
    )
}

fn gemini_answer() -> String {
    format!(
        r#"{{"embeddings":[{{"values":{FIRST}}},{{"values":{SECOND}}}],"usageMetadata":{{"promptTokenCount":8,"totalTokenCount":8}}}}"#
    )
}

fn cohere_answer() -> String {
    format!(
        r#"{{"id":"5807ee2e-0cda-445a-9ec8-864c60a06606","embeddings":{{"float":[{FIRST},{SECOND}]}},"texts":["Water damage","Storm"],"response_type":"embeddings_by_type","meta":{{"api_version":{{"version":"2"}},"billed_units":{{"input_tokens":8}}}}}}"#
    )
}

#[test]
fn a_request_for_vectors_is_put_in_the_words_of_each_provider() {
    let told = |client, upstream, body| {
        let (path, body, losses) = told(client, upstream, Operation::Embeddings, body);
        format!("{path}\n{body}\n{}", losses.join("\n"))
    };
    assert_eq!(
        told(OpenAiChat, Gemini, OPENAI),
        r#"/models/up:batchEmbedContents
{"requests":[{"model":"models/up","content":{"parts":[{"text":"Water damage"}]},"outputDimensionality":3},{"model":"models/up","content":{"parts":[{"text":"Storm"}]},"outputDimensionality":3}]}
dropped /user"#
    );
    assert_eq!(
        told(OpenAiChat, Cohere, OPENAI),
        r#"/embed
{"model":"up","input_type":"search_document","texts":["Water damage","Storm"],"embedding_types":["float"],"output_dimension":3,"truncate":"NONE"}
dropped /user
approximated /input_type"#
    );
    assert_eq!(
        told(Gemini, OpenAiChat, GEMINI),
        r#"/embeddings
{"model":"up","input":["Water damage","Storm"],"dimensions":3}
dropped /requests/0/taskType
dropped /requests/0/title"#
    );
    assert_eq!(
        told(Gemini, Cohere, GEMINI),
        r#"/embed
{"model":"up","input_type":"search_document","texts":["Water damage","Storm"],"embedding_types":["float"],"output_dimension":3}
dropped /requests/0/title"#
    );
    assert_eq!(
        told(Cohere, OpenAiChat, COHERE),
        r#"/embeddings
{"model":"up","input":["Water damage","Storm"],"dimensions":3}
dropped /max_tokens
dropped /input_type
dropped /truncate"#
    );
    assert_eq!(
        told(Cohere, Gemini, COHERE),
        r#"/models/up:batchEmbedContents
{"requests":[{"model":"models/up","content":{"parts":[{"text":"Water damage"}]},"taskType":"RETRIEVAL_DOCUMENT","outputDimensionality":3},{"model":"models/up","content":{"parts":[{"text":"Storm"}]},"taskType":"RETRIEVAL_DOCUMENT","outputDimensionality":3}]}
dropped /max_tokens
dropped /truncate"#
    );
}

#[test]
fn one_text_goes_to_googles_address_for_one() {
    let (path, body, losses) = told(
        OpenAiChat,
        Gemini,
        Operation::Embeddings,
        r#"{"model":"claims-triage","input":"Storm","input_type":"search_query"}"#,
    );
    assert_eq!(path, "/models/up:embedContent");
    assert_eq!(body, r#"{"content":{"parts":[{"text":"Storm"}]},"taskType":"RETRIEVAL_QUERY"}"#);
    assert!(losses.is_empty(), "{losses:?}");
}

#[test]
fn a_purpose_that_cohere_lacks_is_put_as_the_nearest() {
    for (task, word, told_so) in [
        ("RETRIEVAL_QUERY", "search_query", false),
        ("CLASSIFICATION", "classification", false),
        ("CLUSTERING", "clustering", false),
        ("SEMANTIC_SIMILARITY", "clustering", true),
        ("CODE_RETRIEVAL_QUERY", "search_query", true),
        ("TASK_TYPE_UNSPECIFIED", "search_document", true),
    ] {
        let asked = format!(r#"{{"content":{{"parts":[{{"text":"a"}}]}},"taskType":"{task}"}}"#);
        let (_, body, losses) = told(Gemini, Cohere, Operation::Embeddings, &asked);
        assert!(body.contains(&format!(r#""input_type":"{word}""#)), "{task}: {body}");
        assert_eq!(losses, if told_so { vec!["approximated /taskType"] } else { vec![] }, "{task}");
    }
}

#[test]
fn vectors_come_in_the_clients_shape_with_their_digits_as_they_were() {
    let tokens = Some(Usage::ZERO.with(Meter::Input, 8));
    let openai = format!(
        r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":{FIRST}}},{{"object":"embedding","index":1,"embedding":{SECOND}}}],"model":"claims-triage","usage":{{"prompt_tokens":8,"total_tokens":8}}}}"#
    );
    let cohere = cohere_answer().replace("5807ee2e-0cda-445a-9ec8-864c60a06606", "answer_1");
    for (client, upstream, asked, answer, expected) in [
        (OpenAiChat, Gemini, OPENAI, gemini_answer(), &openai),
        (OpenAiChat, Cohere, OPENAI, cohere_answer(), &openai),
        (Gemini, OpenAiChat, GEMINI, openai_answer(), &gemini_answer()),
        (Gemini, Cohere, GEMINI, cohere_answer(), &gemini_answer()),
        (Cohere, OpenAiChat, COHERE, openai_answer(), &cohere),
        (Cohere, Gemini, COHERE, gemini_answer(), &cohere),
    ] {
        let (out, seen) = got(client, upstream, Operation::Embeddings, asked, &answer).unwrap();
        assert_eq!(&out, expected, "{client} from {upstream}");
        assert_eq!((seen.usage, seen.ended), (tokens, true), "{client} from {upstream}");
    }
}

#[test]
fn one_content_gets_one_vector_and_a_list_of_one_a_list() {
    let one = r#"{"content":{"parts":[{"text":"a"}]}}"#;
    let list = format!(r#"{{"requests":[{one}]}}"#);
    let answer = r#"{"data":[{"index":0,"embedding":[1]}],"model":"m"}"#;
    let got = |asked| got(Gemini, OpenAiChat, Operation::Embeddings, asked, answer).unwrap();
    assert_eq!(got(one).0, r#"{"embedding":{"values":[1]}}"#);
    let (out, seen) = got(&list);
    assert_eq!(out, r#"{"embeddings":[{"values":[1]}]}"#);
    assert_eq!(seen.usage, None, "nothing is made up for a usage that did not come");
}

#[test]
fn base64_is_made_where_it_is_wanted() {
    let answer = r#"{"embedding":{"values":[1,-2.0,5e-1]}}"#;
    let asked = r#"{"model":"a","input":"x","encoding_format":"base64"}"#;
    let (out, _) = got(OpenAiChat, Gemini, Operation::Embeddings, asked, answer).unwrap();
    assert!(out.contains(r#""embedding":"AACAPwAAAMAAAAA/""#), "{out}");
    let asked = r#"{"model":"a","texts":["x"],"input_type":"classification","embedding_types":["base64","float"]}"#;
    let (out, _) = got(Cohere, Gemini, Operation::Embeddings, asked, answer).unwrap();
    assert!(out.contains(r#""embeddings":{"float":[[1,-2.0,5e-1]],"base64":["AACAPwAAAMAAAAA/"]}"#), "{out}");
}

#[test]
fn pictures_are_put_in_the_words_of_providers_that_make_vectors_of_them() {
    let told = |client, upstream, body| {
        let (path, body, losses) = told(client, upstream, Operation::Embeddings, body);
        format!("{path}\n{body}\n{}", losses.join("\n"))
    };
    let mixed = r#"{"model":"a","input_type":"search_document","inputs":[{"content":[{"type":"text","text":"Roof"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]}]}"#;
    assert_eq!(
        told(Cohere, Gemini, mixed),
        r#"/models/up:embedContent
{"content":{"parts":[{"text":"Roof"},{"inlineData":{"mimeType":"image/png","data":"AA=="}}]},"taskType":"RETRIEVAL_DOCUMENT"}
"#
    );
    let pictures =
        r#"{"model":"a","input_type":"image","images":["data:image/png;base64,AA==","data:image/jpeg;base64,/9g="]}"#;
    assert_eq!(
        told(Cohere, Gemini, pictures),
        r#"/models/up:batchEmbedContents
{"requests":[{"model":"models/up","content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}},{"model":"models/up","content":{"parts":[{"inlineData":{"mimeType":"image/jpeg","data":"/9g="}}]}}]}
"#
    );
    let picture = r#"{"content":{"parts":[{"inline_data":{"mime_type":"image/png","data":"_9g="}}]}}"#;
    assert_eq!(
        told(Gemini, Cohere, picture),
        r#"/embed
{"model":"up","input_type":"image","inputs":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,/9g="}}]}],"embedding_types":["float"]}
"#
    );
    let answer = r#"{"embeddings":[{"values":[1,2]},{"values":[3,4]}]}"#;
    let (out, _) = got(Cohere, Gemini, Operation::Embeddings, pictures, answer).unwrap();
    assert_eq!(
        out,
        r#"{"id":"answer_1","embeddings":{"float":[[1,2],[3,4]]},"response_type":"embeddings_by_type","meta":{"api_version":{"version":"2"}}}"#
    );
}

#[test]
fn what_cannot_be_said_is_refused_with_what_to_do() {
    let refused = |client, upstream, operation, body: &str| {
        let fault = sent(client, upstream, operation, body).unwrap_err();
        (fault.class, fault.message)
    };
    let untranslatable = FaultClass::Untranslatable;
    for (client, upstream, body, part) in [
        (OpenAiChat, Cohere, r#"{"model":"a","input":[1212,318]}"#, "send texts"),
        (OpenAiChat, Gemini, r#"{"model":"a","input":[[1212],[318]]}"#, "send texts"),
        (
            Cohere,
            OpenAiChat,
            r#"{"model":"a","input_type":"image","images":["data:image/png;base64,AA=="]}"#,
            "`/images/0`: a provider of OpenAI's dialect makes no vectors of pictures",
        ),
        (
            Cohere,
            Gemini,
            r#"{"model":"a","input_type":"search_query","inputs":[{"content":[{"type":"image_url","image_url":{"url":"https://pictures.example/a.png"}}]}]}"#,
            "`/inputs/0/content/0/image_url`",
        ),
        (
            Gemini,
            Cohere,
            r#"{"content":{"parts":[{"inlineData":{"mimeType":"audio/wav","data":"AA=="}}]}}"#,
            "`/content/parts/0`",
        ),
        (
            Cohere,
            Gemini,
            r#"{"model":"a","texts":["x"],"input_type":"search_query","embedding_types":["float","int8"]}"#,
            "`/embedding_types/1`",
        ),
        (
            Gemini,
            OpenAiChat,
            r#"{"content":{"parts":[{"text":"x"},{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}}"#,
            "`/content/parts/1`",
        ),
        (
            Gemini,
            OpenAiChat,
            r#"{"requests":[{"content":{"parts":[{"text":"x"}]}},{"content":{"parts":[{"text":"y"}]},"taskType":"CLUSTERING"}]}"#,
            "`/requests/1`",
        ),
    ] {
        let (class, message) = refused(client, upstream, Operation::Embeddings, body);
        assert_eq!(class, untranslatable, "{body}: {message}");
        assert!(message.contains(part), "{body}: {message}");
    }
    let bad = refused(OpenAiChat, Cohere, Operation::Embeddings, r#"{"model":"a","input":[]}"#);
    assert_eq!(bad.0, FaultClass::BadRequest);
    let bad =
        refused(OpenAiChat, Cohere, Operation::Embeddings, r#"{"model":"a","input":"x","encoding_format":"hex"}"#);
    assert_eq!(bad.0, FaultClass::BadRequest);
    let image = r#"{"model":"a","query":"q","documents":[{"image":"https://pictures.example/a.png"}]}"#;
    assert_eq!(refused(OpenAiChat, Cohere, Operation::Rerank, image).0, untranslatable);
    let ranked = r#"{"model":"a","query":"q","documents":["x"]}"#;
    assert_eq!(refused(Cohere, Gemini, Operation::Rerank, ranked).0, untranslatable);
}

#[test]
fn an_answer_that_is_not_one_vector_for_each_text_is_malformed() {
    for (client, upstream, asked, answer) in [
        (OpenAiChat, Gemini, OPENAI, r#"{"embeddings":[{"values":[1]}]}"#),
        (OpenAiChat, Gemini, OPENAI, r#"{"embeddings":[{"values":[1]},{"values":[2]},{"values":[3]}]}"#),
        (OpenAiChat, Gemini, OPENAI, r#"{"embeddings":[{"values":[1]},{"values":["2"]}]}"#),
        (OpenAiChat, Cohere, OPENAI, r#"{"id":"1","embeddings":{"int8":[[1],[2]]}}"#),
        (Gemini, OpenAiChat, GEMINI, r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[2]}]}"#),
        (Gemini, OpenAiChat, GEMINI, r#"{"data":[{"index":0,"embedding":[1]},{"index":7,"embedding":[2]}]}"#),
        (Gemini, OpenAiChat, GEMINI, r#"{"data":[{"index":0,"embedding":"AACAPw=="},{"index":1,"embedding":[2]}]}"#),
    ] {
        let fault = got(client, upstream, Operation::Embeddings, asked, answer).unwrap_err();
        assert_eq!(fault.class, FaultClass::Malformed, "{answer}: {}", fault.message);
    }
}

const COMMON: &str = r#"{"model":"claims-triage","query":"Is water covered?","documents":["Fire.",{"text":"Water."},"Wind."],"top_n":2}"#;
const COHERE_RANKING: &str = r#"{"model":"claims-triage","query":"Is water covered?","documents":["Fire.","Water.","Wind."],"top_n":2,"max_tokens_per_doc":512}"#;

#[test]
fn a_request_for_a_ranking_is_put_in_the_words_of_each_provider() {
    assert_eq!(
        told(OpenAiChat, Cohere, Operation::Rerank, COMMON),
        (
            "/rerank".into(),
            r#"{"model":"up","query":"Is water covered?","documents":["Fire.","Water.","Wind."],"top_n":2}"#.into(),
            vec![]
        )
    );
    assert_eq!(
        told(Cohere, OpenAiChat, Operation::Rerank, COHERE_RANKING),
        (
            "/rerank".into(),
            r#"{"model":"up","query":"Is water covered?","documents":["Fire.","Water.","Wind."],"top_n":2,"return_documents":false}"#.into(),
            vec!["dropped /max_tokens_per_doc".into()]
        )
    );
}

#[test]
fn a_ranking_comes_in_the_clients_shape() {
    let answer = r#"{"id":"07734bd2","results":[{"index":1,"relevance_score":0.99907100},{"index":0,"relevance_score":1e-7}],"meta":{"api_version":{"version":"2"},"billed_units":{"search_units":1}}}"#;
    let (out, seen) = got(OpenAiChat, Cohere, Operation::Rerank, COMMON, answer).unwrap();
    assert_eq!(
        out,
        r#"{"model":"claims-triage","results":[{"index":1,"relevance_score":0.99907100,"document":{"text":"Water."}},{"index":0,"relevance_score":1e-7,"document":{"text":"Fire."}}],"meta":{"billed_units":{"search_units":1}}}"#
    );
    assert_eq!(seen.usage, Some(Usage::ZERO.with(Meter::SearchUnits, 1)));
    let without = COMMON.replace(r#""top_n":2"#, r#""return_documents":false"#);
    let (out, _) = got(OpenAiChat, Cohere, Operation::Rerank, &without, answer).unwrap();
    assert!(!out.contains("Water."), "{out}");

    let answer = r#"{"model":"jina-reranker-v2-base-multilingual","usage":{"total_tokens":38},"results":[{"index":1,"relevance_score":0.99907100,"document":{"text":"Water."}},{"index":2,"relevance_score":0.5}]}"#;
    let (out, seen) = got(Cohere, OpenAiChat, Operation::Rerank, COHERE_RANKING, answer).unwrap();
    assert_eq!(
        out,
        r#"{"id":"answer_1","results":[{"index":1,"relevance_score":0.99907100},{"index":2,"relevance_score":0.5}],"meta":{"api_version":{"version":"2"},"tokens":{"input_tokens":38}}}"#
    );
    assert_eq!(seen.usage, Some(Usage::ZERO.with(Meter::Input, 38)));
}

#[test]
fn a_ranking_of_what_was_not_sent_is_malformed() {
    for results in [
        r#"[{"index":3,"relevance_score":0.5}]"#,
        r#"[{"index":0,"relevance_score":0.5},{"index":0,"relevance_score":0.4}]"#,
        r#"[{"index":0}]"#,
        r#"[{"index":-1,"relevance_score":0.5}]"#,
        r#"{}"#,
    ] {
        let answer = format!(r#"{{"results":{results}}}"#);
        let fault = got(Cohere, OpenAiChat, Operation::Rerank, COHERE_RANKING, &answer).unwrap_err();
        assert_eq!(fault.class, FaultClass::Malformed, "{answer}: {}", fault.message);
    }
}
