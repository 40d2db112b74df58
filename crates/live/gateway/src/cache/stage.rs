//! The stage between protection and the first attempt: answers a call with what is kept, notes what may be kept of its answer, and
//! compares where a model is asked all the same.

use std::sync::Arc;

use config::CacheRule;
use domain::{CacheUse, Likeness, NanoUsd, Record};
use http::HeaderValue;
use wire::Seen;

use super::agree::{SAME_ANSWER_MILLI, by_words, cosine_milli};
use super::answers::Looked;
use super::keeping::{Keeping, ended};
use super::near::{Comparing, Words};
use super::replay::{FREEHOLD_CACHE, Given, replay};
use super::request::{self, near_rule};
use super::shelf::Kept;
use crate::clock;
use crate::dataplane::Gateway;
use crate::metrics::{CacheLabels, Label};
use crate::ports::{Embedder, Length};
use crate::protect::Protected;
use crate::reply::Waiting;
use crate::trail::Trail;

/// Answers a call with what is kept, where something is. Gives the client back where a model is to be asked.
pub async fn serve(gateway: &Gateway, call: &Protected, client: Waiting, trail: &mut Trail) -> Result<Waiting, Given> {
    let found = match gateway.cache.look(call, &gateway.metrics, call.call().call.at) {
        Looked::Off => return Ok(client),
        Looked::Passed(why) => {
            trail.cache_told = Some("pass");
            trail.note("cache", format!("not asked: {}", why.as_str()));
            return Ok(client);
        }
        Looked::Nothing(keeping) => {
            (trail.cache_told, trail.keeping) = (Some("miss"), Some(keeping));
            if near_rule(call).is_none() {
                return Ok(client);
            }
            // Boxed, as what follows, so that calls without a cache pay nothing for it.
            match Box::pin(near(gateway, call, trail)).await {
                None => return Ok(client),
                Some(found) => found,
            }
        }
        Looked::Found(kept) => (kept, Likeness::Exact),
    };
    trail.keeping = None;
    Err(Box::pin(replay(gateway, call, found, client, trail)).await)
}

/// Tells the client in the head of its answer what the cache had, and notes that head where the answer is written down.
pub fn tell(mut head: http::response::Builder, trail: &mut Trail) -> http::response::Builder {
    let Some(told) = trail.cache_told else { return head };
    if let (Some(keeping), Some(headers)) = (&mut trail.keeping, head.headers_ref()) {
        keeping.head = headers.clone();
    }
    if let Some(headers) = head.headers_mut() {
        headers.insert(FREEHOLD_CACHE, HeaderValue::from_static(told));
    }
    head
}

/// Keeps a complete answer, if it is one to be given again; where it was asked for to compare, compares it first.
pub async fn keep(
    gateway: &Gateway,
    call: &Protected,
    mut keeping: Box<Keeping>,
    record: &Record,
    seen: &Seen,
    trail: &mut Trail,
) {
    if let Some(comparing) = keeping.comparing.take() {
        Box::pin(compare(gateway, call, comparing, seen, trail)).await;
    }
    let words = keeping.words.clone();
    let kept = gateway.cache.keep(*keeping, record, seen, trail.lane.clone(), clock::now());
    if let (Some(name), Some(words)) = (kept, words) {
        Box::pin(gateway.cache.near.remember(words, name)).await;
    }
}

/// Looks for the answer to a call that is near this one. What was found out of its words is noted where its answer is written down.
async fn near(gateway: &Gateway, call: &Protected, trail: &mut Trail) -> Option<(Arc<Kept>, Likeness)> {
    let workflow = call.call().target.workflow()?;
    let rule = workflow.cache.as_ref()?;
    let near_rule = rule.near?;
    let count = |outcome| {
        let labels = CacheLabels { workflow: Label(workflow.name.clone()), outcome };
        gateway.metrics.cache_lookups.get_or_create(&labels).inc();
    };
    let cache = &gateway.cache;
    let embedder = cache.near.embedder();
    let found = match embedder {
        Err(why) => {
            trail.note("cache", format!("what is near was not looked for: {why}"));
            None
        }
        Ok(embedder) => {
            let words = vector(&*embedder, call, rule, &cache.pepper).await;
            if words.is_none() {
                trail.note("cache", "what is near was not looked for: its last words made no vector in time");
            }
            if let (Some(words), Some(keeping)) = (&words, &mut trail.keeping) {
                keeping.words = Some(words.clone());
            }
            nearest(gateway, words).await
        }
    };
    let now = clock::now();
    let threshold_milli = cache.near.threshold(workflow, near_rule, now, |threshold| threshold.milli());
    let Some((kept, cosine_milli)) = found.filter(|(_, cosine_milli)| *cosine_milli >= threshold_milli) else {
        count("miss");
        return None;
    };
    let drawn = gateway.chance.draw() % 100_000;
    if drawn < u128::from(near_rule.compare_millipercent) {
        count("compared");
        trail.cache_told = Some("compared");
        trail.note(
            "cache",
            format!("{} was near (cosine 0.{cosine_milli:03}); asked of a model all the same, to compare", kept.of),
        );
        if let Some(keeping) = &mut trail.keeping {
            keeping.comparing = Some(Comparing { kept, cosine_milli });
        }
        return None;
    }
    count("near");
    Some((kept, Likeness::Near { cosine_milli }))
}

async fn vector(embedder: &dyn Embedder, call: &Protected, rule: &CacheRule, pepper: &[u8; 32]) -> Option<Words> {
    let (context, words) = request::words(call, rule, pepper)?;
    // A text that is longer than the model reads would be compared by its beginning alone.
    let vector = embedder.embed(words, Length::Whole).await?;
    Some(Words { context, vector: vector.into() })
}

/// The nearest answer that is still kept, and its cosine.
async fn nearest(gateway: &Gateway, words: Option<Words>) -> Option<(Arc<Kept>, u16)> {
    let found = gateway.cache.near.nearest(words?).await;
    let now = clock::now();
    found.into_iter().find_map(|(name, cosine_milli)| Some((gateway.cache.kept(&name, now)?, cosine_milli)))
}

/// Compares a model's answer with the one that was kept, and moves the threshold by it.
async fn compare(gateway: &Gateway, call: &Protected, comparing: Comparing, seen: &Seen, trail: &mut Trail) {
    let Comparing { kept, cosine_milli } = comparing;
    // Of an answer that was cut or declined nobody knows what it would have said.
    if !ended(seen) {
        return;
    }
    let Some(workflow) = call.call().target.workflow() else { return };
    let Some(rule) = workflow.cache.as_ref().and_then(|rule| rule.near) else { return };
    let embedder = gateway.cache.near.embedder();
    let Some(agrees) = agree(embedder.ok().as_deref(), &kept.text, seen.kept.text()).await else { return };
    let now = clock::now();
    gateway.cache.near.threshold(workflow, rule, now, |threshold| threshold.compare(agrees, now));
    let said = if agrees { "say the same" } else { "differ" };
    trail.note("cache", format!("its answer and that of {} {said}", kept.of));
    trail.cache = Some(Box::new(CacheUse {
        likeness: Likeness::Near { cosine_milli },
        of: kept.of,
        age_ms: u64::try_from(now.0 - kept.at.0).unwrap_or(0),
        saved: NanoUsd::ZERO,
        agrees: Some(agrees),
    }));
}

async fn agree(embedder: Option<&dyn Embedder>, one: &str, other: &str) -> Option<bool> {
    if let Some(agrees) = by_words(one, other) {
        return Some(agrees);
    }
    let embedder = embedder?;
    let one = embedder.embed(one.to_owned(), Length::Beginning).await?;
    let other = embedder.embed(other.to_owned(), Length::Beginning).await?;
    Some(cosine_milli(&one, &other) >= SAME_ANSWER_MILLI)
}
