// Figures of the console, for docs/CONSOLE.md; no test. Run it on a quiet machine with a release build:
//
//   REVEILLE_BINARY=target/release/reveille node tests/console/figures.mjs [list] [live] [history] [map] [inbox]
//
// REVEILLE_TEST_AMQP_URL: the broker; without it the embedded one. PYTHON: with sqlite3 (python3), to fill a store.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const wanted = process.argv.slice(2);
const wants = (part) => wanted.length === 0 || wanted.includes(part);
const pause = (ms) => new Promise((wake) => setTimeout(wake, ms));
const freePort = () => new Promise((done) => {
  const probe = createServer();
  probe.listen(0, '127.0.0.1', () => { const { port } = probe.address(); probe.close(() => done(port)); });
});
const folder = mkdtempSync(join(tmpdir(), 'reveille-figures.'));
const port = await freePort();
const base = `http://127.0.0.1:${port}`;
const store = join(folder, 'store.db');
const env = {
  PATH: process.env.PATH, HOME: folder, REVEILLE__STORE__URL: `sqlite:${store}`, REVEILLE__API__LISTEN: `127.0.0.1:${port}`,
  REVEILLE__BUS__URL: process.env.REVEILLE_TEST_AMQP_URL ?? 'embedded:', REVEILLE__BUS__PREFIX: `f${port}`, REVEILLE__BUS__QUEUES: 'desk',
};
let child;
const start = async () => {
  child = spawn(process.env.REVEILLE_BINARY ?? 'target/release/reveille', ['serve'], { env, cwd: folder, stdio: ['ignore', 'ignore', 'ignore'] });
  while ((await fetch(`${base}/readyz`).catch(() => null))?.status !== 200) await pause(100);
};
const stop = () => new Promise((done) => { child.once('exit', done); child.kill('SIGTERM'); });
const call = async (operation, input) => {
  const target = operation.startsWith('Reveille.') ? operation : `AWSStepFunctions.${operation}`;
  const answer = await fetch(base, { method: 'POST', headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': target }, body: JSON.stringify(input) });
  if (answer.status !== 200) throw new Error(await answer.text());
  return answer.json();
};
const machine = async (name, definition) => (await call('CreateStateMachine', { name, roleArn: 'arn:aws:iam::000000000000:role/r', definition: JSON.stringify(definition) })).stateMachineArn;
const ended = async (executionArn) => { while ((await call('DescribeExecution', { executionArn })).status === 'RUNNING') await pause(100); };
const told = (name, took, unit = 'ms') => {
  took.sort((a, b) => a - b);
  const at = (part) => took[Math.min(took.length - 1, Math.floor(took.length * part))].toFixed(1);
  console.log(`${name}: p50 ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)} ${unit} (${took.length} times)`);
};
// One connection that stays open: what is measured is the server's time and little else.
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const page = (path) => new Promise((done, failed) => {
  const began = performance.now();
  request(`${base}/console/${path}`, { agent }, (answer) => {
    let bytes = 0;
    answer.on('data', (part) => { bytes += part.length; });
    answer.on('end', () => (answer.statusCode === 200 ? done([performance.now() - began, bytes]) : failed(new Error(`${path}: ${answer.statusCode}`))));
  }).on('error', failed).end();
});
const pages = async (name, path, times = 200) => {
  const took = [];
  let bytes = 0;
  for (let n = 0; n < times; n += 1) { const [ms, size] = await page(path); took.push(ms); bytes = size; }
  told(`${name} (${Math.round(bytes / 1024)} KB)`, took);
};
const callback = (queue, more) => ({ Type: 'Task', Resource: 'arn:aws:states:::amqp:publish.waitForTaskToken', Parameters: { Queue: queue, 'Body.$': '$' }, ...more });
const items = [...Array(10_000).keys()];
const map = (type) => ({ StartAt: 'Each', States: { Each: { Type: 'Map', ToleratedFailurePercentage: 100, ResultPath: null, End: true, ItemProcessor: {
  ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: type }, StartAt: 'Odd?', States: {
    'Odd?': { Type: 'Choice', Default: 'Good', Choices: [{ Variable: '$', NumericLessThan: 100, Next: 'Bad' }] },
    Good: { Type: 'Succeed' }, Bad: { Type: 'Fail', Error: 'Item.Broken' } },
} } } });

await start();
try {
  if (wants('list')) {
    const arn = await machine('many', map('STANDARD'));
    const began = performance.now();
    for (let n = 0; n < 10; n += 1) await ended((await call('StartExecution', { stateMachineArn: arn, input: JSON.stringify(items) })).executionArn);
    console.log(`100,000 executions made in ${((performance.now() - began) / 1000).toFixed(0)} s`);
    await pause(2_000);
    await pages('a page of 200 of 100,000 executions', 'executions?q=maprun:all');
    await pages('the same, failed ones', 'executions?q=maprun:all+status:failed');
    await pages('the same, a word that 10,000 are looked at for', 'executions?q=maprun:all+no-such-name', 20);
    await pages('executions without their children', 'executions');
  }
  if (wants('map')) {
    const arn = await machine('map-of-many', map('EXPRESS'));
    await ended((await call('StartExecution', { stateMachineArn: arn, name: 'map-of-many', input: JSON.stringify(items) })).executionArn);
    await pages('an execution with a Map of 10,000', `executions/${await first('executions?q=machine:map-of-many', /href="executions\/([0-9a-f-]{36})"/)}`, 50);
  }
  const browser = wants('live') || wants('history') ? await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] }) : null;
  if (wants('live')) await live(browser);
  if (wants('history')) await history(browser);
  await browser?.close();
  if (wants('inbox')) await inbox();
} finally {
  await stop();
  rmSync(folder, { recursive: true, force: true });
}

async function first(path, pattern) {
  return (await (await fetch(`${base}/console/${path}`)).text()).match(pattern)[1];
}

/** From the answer of the API (the append is durable then) to the change on the screen, with 100 more viewers. */
async function live(browser) {
  const arn = await machine('live', { StartAt: 'Ask', States: { Ask: callback('desk', { ResultPath: null, Next: 'Again' }), Again: { Type: 'Choice', Default: 'Ask', Choices: [{ Variable: '$.stop', IsPresent: true, Next: 'End' }] }, End: { Type: 'Succeed' } } });
  const { executionArn } = await call('StartExecution', { stateMachineArn: arn, name: 'live' });
  const task = async () => { for (;;) { const { tasks } = await call('Reveille.ListWaitingTasks', { executionArn }); if (tasks.length > 0) return tasks[0]; await pause(20); } };
  await task();
  const address = `executions/${await first('executions?q=live', /href="executions\/([0-9a-f-]{36})"/)}`;
  const viewers = [...Array(100)].map(() => request(`${base}/console/live?topics=executions%20waits%20execution:${address.split('/')[1]}`, (answer) => answer.resume()).end());
  const tab = await (await browser.newContext()).newPage();
  await tab.goto(`${base}/console/${address}`);
  await tab.locator('.pulse.on').waitFor();
  await tab.evaluate(() => {
    window.changes = [];
    new MutationObserver(() => window.changes.push(Date.now())).observe(document.querySelector('[data-live=head]'), { childList: true, subtree: true, characterData: true });
  });
  const took = [];
  for (let n = 0; n < 120; n += 1) {
    const { taskToken } = await task();
    await pause(400);
    await tab.evaluate(() => { window.changes.length = 0; });
    await call('SendTaskSuccess', { taskToken, output: '{}' });
    const durable = Date.now();
    await tab.waitForFunction(() => window.changes.length > 0);
    took.push(Math.max(0, (await tab.evaluate(() => window.changes[0])) - durable));
  }
  told('from durable to changed on the screen, 100 more viewers', took.slice(20));
  for (const viewer of viewers) viewer.destroy();
  await call('StopExecution', { executionArn });
  await tab.close();
}

async function history(browser) {
  const arn = await machine('long', { StartAt: 'Count', States: {
    Count: { Type: 'Pass', Parameters: { 'n.$': 'States.MathAdd($.n, 1)' }, Next: 'Enough?' },
    'Enough?': { Type: 'Choice', Default: 'The end', Choices: [{ Variable: '$.n', NumericLessThan: 6_190, Next: 'Count' }] },
    'The end': { Type: 'Succeed' },
  } });
  await ended((await call('StartExecution', { stateMachineArn: arn, name: 'long', input: '{"n": 0}' })).executionArn);
  const address = `executions/${await first('executions?q=long', /href="executions\/([0-9a-f-]{36})"/)}`;
  const tab = await (await browser.newContext({ viewport: { width: 1360, height: 900 } })).newPage();
  for (const [name, view] of [['graph, first view', ''], ['graph', ''], ['events', '?view=events'], ['a search in them', '?view=events&find=end']]) {
    const began = performance.now();
    await tab.goto(`${base}/console/${address}${view}`);
    console.log(`25,000 events, ${name}: open in ${Math.round(performance.now() - began)} ms`);
  }
  await tab.goto(`${base}/console/${address}?view=events`);
  const frames = await tab.evaluate(() => new Promise((done) => {
    const gaps = [];
    let last = performance.now();
    const step = (now) => {
      gaps.push(now - last);
      last = now;
      scrollBy(0, gaps.length % 400 < 200 ? 160 : -160);
      if (gaps.length < 600) requestAnimationFrame(step); else done(gaps);
    };
    requestAnimationFrame(step);
  }));
  told('frames while its events scroll', frames);
  await tab.close();
}

/** A store that is filled with rows of tasks that wait, as the engine writes them. */
async function inbox() {
  const arn = await machine('asks', { StartAt: 'Ask', States: { Ask: callback('desk', { End: true }) } });
  for (let n = 0; n < 60; n += 1) await call('StartExecution', { stateMachineArn: arn });
  while ((await call('Reveille.ListWaitingTasks', { maxResults: 100, stateMachineArn: arn })).tasks.length < 60) await pause(200);
  await stop();
  const program = `
import sqlite3
c = sqlite3.connect('${store}')
columns = [r[1] for r in c.execute('PRAGMA table_info(waits)')]
shown = ', '.join({'execution': 'randomblob(16)', 'since': 'since + 1000 + n.i'}.get(name, 'w.' + name) for name in columns)
c.execute(f"""WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
  INSERT INTO waits SELECT {shown} FROM n, (SELECT * FROM waits LIMIT 1) w""")
c.commit()
print(c.execute('SELECT count(*) FROM waits').fetchone()[0], 'rows of tasks that wait')
`;
  console.log(execFileSync(process.env.PYTHON ?? 'python3', ['-c', program], { encoding: 'utf8' }).trim());
  await start();
  await pages('the inbox', 'inbox', 100);
  await pages('the inbox of a machine', 'inbox?machine=asks', 100);
  await pages('the inbox of a queue', 'inbox?queue=desk', 100);
  await pages('the queues', 'queues', 50);
}
