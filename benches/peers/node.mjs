// Node, zlib and readline: every line is parsed.
import { createReadStream, readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { createGunzip } from "node:zlib";

const folder = process.argv[2];
const groups = new Map();
for (const name of readdirSync(folder).sort()) {
  const input = createReadStream(`${folder}/${name}`).pipe(createGunzip());
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    const record = JSON.parse(line);
    if (record.errorCode !== "AccessDeniedException") continue;
    const key = JSON.stringify([record.accountId, record.identity.arn, record.modelId]);
    if (!groups.has(key)) groups.set(key, new Map());
    const requests = groups.get(key);
    const at = Date.parse(record.timestamp);
    requests.set(record.requestId, Math.min(at, requests.get(record.requestId) ?? at));
  }
}
for (const [key, requests] of groups) {
  const times = [...requests.values()].sort((a, b) => a - b);
  if (times.some((at, n) => n >= 3 && at - times[n - 3] <= 3_600_000)) console.log(key);
}
