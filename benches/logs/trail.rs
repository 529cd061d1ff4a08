//! CloudTrail log files on one line, as AWS writes them.

use super::Random;

/// Calls to several services, of which one in a hundred is refused. Bedrock's own succeed, but for one
/// where so many hundredths of the file are written.
pub fn trail(bytes: usize, refusal: Option<usize>) -> String {
    let mut random = Random::new();
    let mut log = r#"{"Records":["#.to_owned();
    let mut number = 0;
    let mut refusal = refusal.map(|percent| bytes / 100 * percent);
    while log.len() < bytes {
        if number > 0 {
            log.push(',');
        }
        let refused = refusal.take_if(|at| *at <= log.len()).is_some();
        let call = if refused { MODEL_CALL } else { random.below(CALLS.len()) };
        record(&mut log, &mut random, number, call, refused);
        number += 1;
    }
    log.push_str("]}");
    log
}

/// Service, call, what was asked for and what was answered; `$` is replaced by a name, `^` by an id.
const CALLS: [(&str, &str, &str, &str); 8] = [
    (
        "s3",
        "GetObject",
        r#"{"bucketName":"$-data-$","Host":"$-data-$.s3.us-east-1.amazonaws.com","key":"$/$/part-^.parquet"}"#,
        "null",
    ),
    (
        "sts",
        "AssumeRole",
        r#"{"roleArn":"arn:aws:iam::111122223333:role/$-$","roleSessionName":"$-^","durationSeconds":3600}"#,
        r#"{"credentials":{"accessKeyId":"ASIA^","sessionToken":"IQoJb3JpZ2luX2Vj^^^^","expiration":"Jun 1, 2025, 11:00:00 AM"},"assumedRoleUser":{"assumedRoleId":"AROA^:$-^","arn":"arn:aws:sts::111122223333:assumed-role/$-$/$-^"}}"#,
    ),
    (
        "kms",
        "Decrypt",
        r#"{"encryptionContext":{"aws:s3:arn":"arn:aws:s3:::$-data-$/$"},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}"#,
        "null",
    ),
    (
        "ec2",
        "DescribeInstances",
        r#"{"instancesSet":{"items":[{"instanceId":"i-^"},{"instanceId":"i-^"}]},"filterSet":{"items":[{"name":"tag:$","valueSet":{"items":[{"value":"$"}]}}]}}"#,
        "null",
    ),
    ("bedrock", "InvokeModel", r#"{"modelId":"anthropic.claude-3-sonnet-20240229-v1:0"}"#, "null"),
    ("dynamodb", "DescribeTable", r#"{"tableName":"$-$"}"#, "null"),
    (
        "logs",
        "CreateLogStream",
        r#"{"logGroupName":"/aws/lambda/$-$","logStreamName":"2025/06/01/[$LATEST]^"}"#,
        "null",
    ),
    ("iam", "GetRolePolicy", r#"{"roleName":"$-$","policyName":"$"}"#, "null"),
];
const MODEL_CALL: usize = 4;

const NAMES: [&str; 12] = [
    "orders", "billing", "search", "ingest", "reports", "etl", "web", "audit", "metrics", "images", "jobs",
    "prod",
];

fn record(log: &mut String, random: &mut Random, number: usize, call: usize, refused: bool) {
    let (service, name, asked, answered) = CALLS[call];
    let mut filled = |text: &str| {
        let mut filled = String::new();
        for character in text.chars() {
            match character {
                '$' => filled += random.one(&NAMES),
                '^' => filled += &random.hex(16),
                other => filled.push(other),
            }
        }
        filled
    };
    let other_refused = call != MODEL_CALL && number % 100 == 17;
    let error = if refused || other_refused {
        filled(&format!(
            r#""errorCode":"AccessDenied","errorMessage":"User: arn:aws:sts::111122223333:assumed-role/$-$/$ is not authorized to perform: {service}:{name} on resource: arn:aws:{service}:us-east-1:111122223333:$/$ because no identity-based policy allows the {service}:{name} action","#
        ))
    } else {
        String::new()
    };
    let (minute, second) = (number / 60 % 60, number % 60);
    let record = filled(&format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"AssumedRole","principalId":"AROA^:$-$","arn":"arn:aws:sts::111122223333:assumed-role/$-$/$-$","accountId":"111122223333","accessKeyId":"ASIA^","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROA^","arn":"arn:aws:iam::111122223333:role/$-$","accountId":"111122223333","userName":"$-$"}},"attributes":{{"creationDate":"2025-06-01T09:{minute:02}:{second:02}Z","mfaAuthenticated":"false"}}}}}},"eventTime":"2025-06-01T10:{minute:02}:{second:02}Z","eventSource":"{service}.amazonaws.com","eventName":"{name}","awsRegion":"us-east-1","sourceIPAddress":"10.0.{}.{}","userAgent":"[aws-sdk-java/2.20.{} Linux/5.10.{}-amzn2.x86_64 OpenJDK_64-Bit_Server_VM/17.0.7+7-LTS Java/17.0.7 vendor/Amazon.com_Inc. io/sync http/Apache cfg/retry-mode/standard]",{error}"requestParameters":{asked},"responseElements":{answered},"requestID":"^-^","eventID":"^-^","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{service}.us-east-1.amazonaws.com"}}}}"#,
        number * 7 % 256,
        number * 13 % 256,
        number % 40,
        number % 9,
    ));
    log.push_str(&record);
}
