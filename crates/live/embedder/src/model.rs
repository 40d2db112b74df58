//! A BERT-like sentence encoder: tokens in, the mean of their vectors out, as sentence-transformers makes it of all-MiniLM-L6-v2.

use std::path::Path;
use std::sync::Arc;

use rten::{NodeId, RunOptions, ThreadPool, ValueOrView};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, Tensor};
use rten_text::Tokenizer;

/// Most tokens the model is given: what all-MiniLM-L6-v2 was trained to read (its card, "max_seq_length").
const MOST_TOKENS: usize = 256;

/// A model and how its texts become tokens.
pub struct Model {
    model: rten::Model,
    tokenizer: Tokenizer,
    inputs: Vec<(NodeId, Input)>,
    output: NodeId,
    /// One thread: vectors are made beside calls, not instead of them.
    threads: Arc<ThreadPool>,
}

/// What an input of the model takes.
#[derive(Clone, Copy)]
enum Input {
    Tokens,
    /// Ones: nothing is padded.
    Mask,
    /// Zeros: there is one text.
    Kinds,
}

impl Model {
    /// Loads it.
    pub fn open(model: &Path, tokenizer: &Path) -> Result<Model, String> {
        let model = rten::Model::load_file(model).map_err(|error| error.to_string())?;
        let tokenizer = Tokenizer::from_file(tokenizer).map_err(|error| error.to_string())?;
        let mut inputs = Vec::new();
        for id in model.input_ids() {
            let name = model.node_info(*id).and_then(|node| node.name().map(str::to_owned)).unwrap_or_default();
            let input = match name.as_str() {
                "input_ids" => Input::Tokens,
                "attention_mask" => Input::Mask,
                "token_type_ids" => Input::Kinds,
                _ => return Err(format!("it wants an input `{name}`, which a sentence encoder has not")),
            };
            inputs.push((*id, input));
        }
        let output = *model.output_ids().first().ok_or("it has no output")?;
        let threads = Arc::new(ThreadPool::with_num_threads(1));
        let model = Model { model, tokenizer, inputs, output, threads };
        model.vector("one", true).ok_or("it made no vector of a word")?;
        Ok(model)
    }

    /// The vector of a text, of length 1. A text longer than [`MOST_TOKENS`] has none, unless it may be `cut`.
    pub fn vector(&self, text: &str, cut: bool) -> Option<Vec<f32>> {
        let encoded = self.tokenizer.encode(text, None).ok()?;
        let mut tokens: Vec<i32> = encoded.token_ids().iter().filter_map(|token| i32::try_from(*token).ok()).collect();
        if tokens.len() > MOST_TOKENS {
            if !cut {
                return None;
            }
            // The last token says that the text is over.
            let last = tokens.pop()?;
            tokens.truncate(MOST_TOKENS - 1);
            tokens.push(last);
        }
        let count = tokens.len();
        let inputs = self.inputs.iter().map(|(id, input)| {
            let values = match input {
                Input::Tokens => tokens.clone(),
                Input::Mask => vec![1; count],
                Input::Kinds => vec![0; count],
            };
            (*id, ValueOrView::from(NdTensor::from_data([1, count], values)))
        });
        let options = RunOptions::default().with_thread_pool(Some(self.threads.clone()));
        let output = self.model.run(inputs.collect(), &[self.output], Some(options)).ok()?.pop()?;
        let vectors: Tensor<f32> = output.try_into().ok()?;
        let width = *vectors.shape().last()?;
        let values: Vec<f32> = vectors.iter().copied().collect();
        mean(&values, width)
    }
}

/// The mean of vectors that follow one another, brought to length 1.
fn mean(values: &[f32], width: usize) -> Option<Vec<f32>> {
    let mut sum = vec![0.0f32; width];
    for vector in values.chunks_exact(width) {
        sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value);
    }
    let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
    (length.is_normal()).then(|| sum.iter().map(|value| value / length).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_has_length_one_and_nothing_has_none() {
        assert_eq!(mean(&[3.0, 0.0, 3.0, 8.0], 2), Some(vec![0.6, 0.8]));
        assert_eq!(mean(&[0.0, 0.0], 2), None);
    }

    /// With the real model, where `FREEHOLD_TEST_EMBEDDER` names its folder: docs/cache.md says how to get it. Half a minute in debug.
    #[test]
    #[ignore = "needs the folder of a model in FREEHOLD_TEST_EMBEDDER"]
    fn texts_that_mean_the_same_are_near_and_others_are_not() {
        let folder = std::path::PathBuf::from(std::env::var("FREEHOLD_TEST_EMBEDDER").unwrap());
        let model = Model::open(&folder.join("model.onnx"), &folder.join("tokenizer.json")).unwrap();
        let cosine = |one: &str, other: &str| -> f32 {
            let (one, other) = (model.vector(one, false).unwrap(), model.vector(other, false).unwrap());
            one.iter().zip(&other).map(|(one, other)| one * other).sum()
        };
        assert!(cosine("How do I reset my password?", "I forgot my password, how can I reset it?") > 0.9);
        assert!(cosine("How do I reset my password?", "What is the capital of France?") < 0.2);
        let long = "word ".repeat(600);
        assert!(model.vector(&long, false).is_none() && model.vector(&long, true).is_some());
    }
}
