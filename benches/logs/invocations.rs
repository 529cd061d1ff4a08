//! Logs of Bedrock's model invocations.

use std::fmt::Write;

use super::Random;

const MODELS: [&str; 5] = [
    "anthropic.claude-3-haiku-20240307-v1:0",
    "us.anthropic.claude-sonnet-4-20250514-v1:0",
    "amazon.nova-lite-v1:0",
    "arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.anthropic.claude-3-5-haiku-20241022-v1:0",
    "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/a1b2c3d4e5f6",
];
/// What no one may call.
const DENIED: [&str; 5] = [
    "anthropic.claude-3-opus-20240229-v1:0",
    "anthropic.claude-3-sonnet-20240229-v1:0",
    "meta.llama3-1-405b-instruct-v1:0",
    "mistral.mistral-large-2407-v1:0",
    "amazon.nova-premier-v1:0",
];
pub const ROLES: [&str; 6] = [
    "SupportChatbot",
    "InvoiceReader",
    "ResearchNotebook",
    "DocumentIndexer",
    "ModelEvaluation",
    "Translation",
];
/// The seconds that an ordinary log covers.
const DAY: usize = 6 * 3600;
const REFUSED: &str =
    r#""errorCode":"AccessDeniedException","input":{"inputContentType":"application/json"},"output":{}"#;

/// One record on a line; `second` counts from 10:00.
fn record(log: &mut String, second: usize, user: &str, id: &str, model: &str, rest: &str) {
    let (day, hour) = (2 + (second / 3600 + 10) / 24, (second / 3600 + 10) % 24);
    let (minute, second) = (second / 60 % 60, second % 60);
    let _ = writeln!(
        log,
        r#"{{"schemaType":"ModelInvocationLog","schemaVersion":"1.0","timestamp":"2025-06-{day:02}T{hour:02}:{minute:02}:{second:02}Z","accountId":"111122223333","identity":{{"arn":"{user}"}},"region":"us-east-1","requestId":"{id}","operation":"InvokeModel","modelId":"{model}",{rest}}}"#,
    );
}

fn session(role: &str, name: usize) -> String {
    format!("arn:aws:sts::111122223333:assumed-role/{role}/i-{name:017x}")
}

/// An ordinary log: records of 1 to 110 KB, denials of which some must alert, and denials that are only
/// mentioned.
pub fn mixed(bytes: usize) -> String {
    let mut random = Random::new();
    let prose = Prose::new(&mut random);
    let refusals = refusals(&mut random);
    let mut refusals = refusals.iter().peekable();
    let mut log = String::new();
    while log.len() < bytes {
        // In the order of time, as records are written.
        let second = log.len() / 1000 * DAY / (bytes / 1000);
        while let Some((_, user, id, model)) = refusals.next_if(|(at, ..)| *at <= second) {
            record(&mut log, second.min(DAY), user, id, model, REFUSED);
        }
        let size = 1 << random.below(7);
        let size = (size + random.below(size)) * 860;
        let (role, model) = (random.one(&ROLES), random.one(&MODELS));
        let bodies = prose.bodies(&mut random, size);
        record(&mut log, second, &session(role, random.below(4)), &random.uuid(), model, &bodies);
    }
    log
}

type Refusal = (usize, String, String, &'static str);

/// When, who, which request and which model.
fn refusals(random: &mut Random) -> Vec<Refusal> {
    let mut all = Vec::new();
    let mut refuse = |user: &str, model, seconds: &[usize], distinct: usize| {
        let ids: Vec<String> = (0..distinct).map(|_| random.uuid()).collect();
        for (number, at) in seconds.iter().enumerate() {
            all.push((*at, user.to_owned(), ids[number % distinct].clone(), model));
        }
    };
    let burst: Vec<usize> = (0..30).map(|number| 9000 + number * 40).collect();
    // These alert: four in less than an hour, and a burst.
    refuse(&session(ROLES[0], 1), DENIED[0], &[100, 900, 2000, 3600], 4);
    refuse("arn:aws:iam::111122223333:user/ci/report-export", DENIED[2], &burst, 30);
    // These do not: four in more than an hour; three requests of which one is logged twice; two models.
    refuse(&session(ROLES[1], 1), DENIED[1], &[200, 1400, 2600, 3900], 4);
    refuse(&session(ROLES[2], 1), DENIED[1], &[5000, 5100, 5200, 5300], 3);
    refuse(&session(ROLES[3], 1), DENIED[3], &[6000, 6100, 6200], 3);
    refuse(&session(ROLES[3], 1), DENIED[4], &[6300, 6400], 2);
    for number in 0..8 {
        refuse(&session(ROLES[4], number), DENIED[4], &[7000 + number * 97], 1);
    }
    all.sort();
    all
}

/// Someone's loop: as many denials, spread over an hour.
pub fn flood(refusals: usize) -> String {
    let mut random = Random::new();
    let mut log = String::new();
    for number in 0..refusals {
        let second = number * 3600 / refusals;
        let model = DENIED[number / 7 % DENIED.len()];
        record(&mut log, second, &session(ROLES[0], number % 7), &random.uuid(), model, REFUSED);
    }
    log
}

/// Forty users who try seven models, for a second each on average: many keys, each of them in many slots and alerts.
pub fn hard(refusals: usize) -> String {
    let mut random = Random::new();
    let mut log = String::new();
    let mut second = 0;
    for _ in 0..refusals {
        second += random.below(3);
        let user = format!("arn:aws:iam::111122223333:user/user-{:02}", random.below(40));
        let model = format!("vendor.expensive-{}-v1:0", random.below(7));
        record(&mut log, second, &user, &random.uuid(), &model, REFUSED);
    }
    log
}

/// Every line names the error and none is a denial: the tool of an agent failed, or someone asked about it.
pub fn candidates(lines: usize) -> String {
    const NESTED: &str = r#""input":{"inputContentType":"application/json","inputBodyJson":{"messages":[{"role":"user","content":[{"type":"tool_result","content":{"errorCode":"AccessDeniedException","retry":false}}]}]}},"output":{}"#;
    const QUOTED: &str = r#""input":{"inputContentType":"application/json","inputBodyJson":{"messages":[{"role":"user","content":"What is \"errorCode\":\"AccessDeniedException\"?"}]}},"output":{}"#;
    let mut random = Random::new();
    let mut log = String::new();
    for number in 0..lines {
        let rest = if number % 2 == 0 { NESTED } else { QUOTED };
        record(&mut log, number / 40, &session(ROLES[4], number % 7), &random.uuid(), MODELS[0], rest);
    }
    log
}

/// Text that compresses like what people and models write.
struct Prose {
    /// Sentences that come back, as prompts do.
    phrases: Vec<String>,
    words: Vec<String>,
}

impl Prose {
    fn new(random: &mut Random) -> Self {
        // Rare letters must be rare, as a search looks for them.
        const STEMS: &str = "about accept account add after again agree all allow and answer any ask at back be because before begin between both bring build business but by call can care case change check child city clear come company consider could country course cover create customer cut data day decide deliver detail differ do door down each early end enough even every example expect export extra face fact far feel few file find first follow for form friend from game general get give go good govern great group grow hand happen hard have he head hear help her here high hold home hour house how however idea if import in include increase interest into is it job join just keep kind know large last late law lead learn leave less let letter level life light like line list listen little live local long look lose love low machine made main make manage many market matter may mean measure meet member might mind minute model moment money month more morning most move much must name nation near need never new next night no not note number of off offer office often old on one only open or order other our out over own page paper part pay people perhaps person place plan play point poor possible power present price problem process product program provide public put question quick rate reach read real reason receive record region remember report request require result return right room round run same say school second see seem send serve service set several she should show side since small so some sort south speak special staff stand start state still stop story study such suggest summer support sure system table take talk team tell ten test than thank that the their then there these they thing think this though three through time to today together town trade train travel tree true try turn two under until up upon use value very view visit voice wait walk want war warm watch water way we week weigh well west what when where which while white who why will win with within without woman word work world would write year yes yet you young";
        const ENDS: [&str; 9] = ["", "", "", "s", "ed", "ing", "er", "ly", "ment"];
        let stems: Vec<&str> = STEMS.split(' ').collect();
        let words: Vec<String> =
            (0..3000).map(|_| random.one(&stems).to_owned() + random.one(&ENDS)).collect();
        let mut prose = Self { phrases: Vec::new(), words };
        for _ in 0..400 {
            let mut phrase = String::new();
            while phrase.len() < 60 + random.below(80) {
                prose.word(random, &mut phrase);
            }
            prose.phrases.push(phrase + r".\n");
        }
        prose
    }

    fn word(&self, random: &mut Random, text: &mut String) {
        // Squared, so that some words are much more frequent than others.
        let number = random.below(3000) * random.below(3000) / 3000;
        text.push_str(&self.words[number]);
        match random.below(40) {
            0 => text.push_str(", "),
            3 | 4 => {
                let start =
                    random.one(&["And", "But", "Data", "Each", "For", "I", "In", "It", "The", "We", "You"]);
                let _ = write!(text, ". {start} ");
            }
            1 => text.push_str(r#" \"draft\" "#),
            2 => {
                let _ = write!(text, " {} ", random.below(10_000));
            }
            _ => text.push(' '),
        }
    }

    fn text(&self, random: &mut Random, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 200);
        while text.len() < bytes {
            if random.below(8) == 0 {
                text.push_str(&self.phrases[random.below(self.phrases.len())]);
            } else {
                self.word(random, &mut text);
            }
        }
        text
    }

    /// A request and its answer, of about so many bytes.
    fn bodies(&self, random: &mut Random, bytes: usize) -> String {
        if random.below(40) == 0 {
            return r#""errorCode":"ThrottlingException","input":{"inputContentType":"application/json"},"output":{}"#.to_owned();
        }
        if random.below(12) == 0 {
            return self.embedding(random);
        }
        let mut answer = self.text(random, bytes / 6);
        // More often than people and models talk of it.
        if random.below(60) == 0 {
            answer.push_str("Why did the export end with AccessDeniedException?");
        }
        let mut messages = String::new();
        while messages.len() < bytes * 5 / 6 {
            let size = (200 + random.below(3000)).min(bytes / 2);
            let _ = write!(
                messages,
                r#"{}{{"role":"user","content":[{{"type":"text","text":"{}"}}]}},{{"role":"assistant","content":[{{"type":"text","text":"{}"}}]}}"#,
                if messages.is_empty() { "" } else { "," },
                self.text(random, size),
                self.text(random, size / 3),
            );
        }
        format!(
            r#""input":{{"inputContentType":"application/json","inputBodyJson":{{"anthropic_version":"bedrock-2023-05-31","max_tokens":4096,"system":"You answer as the operators of this service have agreed.","messages":[{messages}]}},"inputTokenCount":{}}},"output":{{"outputContentType":"application/json","outputBodyJson":{{"id":"msg_bdrk_{}","type":"message","role":"assistant","model":"claude-3-haiku-20240307","content":[{{"type":"text","text":"{answer}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":{},"output_tokens":{}}}}},"outputTokenCount":{}}}"#,
            messages.len() / 4,
            random.hex(24),
            messages.len() / 4,
            answer.len() / 4,
            answer.len() / 4,
        )
    }

    /// A text and the vector for it.
    fn embedding(&self, random: &mut Random) -> String {
        let text = self.text(random, 1500);
        let numbers: Vec<String> = (0..256)
            .map(|_| format!("{}0.0{:06}", random.one(&["", "-"]), random.below(1_000_000)))
            .collect();
        format!(
            r#""input":{{"inputContentType":"application/json","inputBodyJson":{{"inputText":"{text}","dimensions":256}},"inputTokenCount":400}},"output":{{"outputContentType":"application/json","outputBodyJson":{{"embedding":[{}],"inputTextTokenCount":400}}}}"#,
            numbers.join(","),
        )
    }
}
