// Durable callbacks a second of Reveille and of Restate, in turn on one machine.
//
//   npm ci && node restate.mjs --reveille PATH --bus AMQP_URL --broker-pid PID [--rounds 5] [--count 10000]
//     [--open 500]
//
// `make compare` does all of it.
//
// The same work on both: a client starts COUNT executions over HTTP, each start durable when it is answered. Each
// execution hands a token to a worker in another process and waits. The worker completes it with the token, and the
// execution ends. A round lasts from the first start until all have ended; OPEN are in progress at most. Reveille's
// worker answers over the broker; Restate's handler (its Node SDK) asks the worker in a `ctx.run`, and the worker
// resolves the awakeable over HTTP. Each server keeps what it promises to keep: Reveille SQLite with
// synchronous = full and quorum queues, Restate its defaults on disk.
// Processor time is of the server, of all processes that the engine needs (broker or handlers), and of the worker.
import { fork, spawn, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const here = import.meta.dirname;
const keepAlive = new http.Agent({ keepAlive: true, maxSockets: 64 });
const TICKS = Number(execFileSync('getconf', ['CLK_TCK']));

/** Sends JSON; resolves to the body of an answer below 300. */
function post(url, body, headers = { 'Content-Type': 'application/json' }) {
  return new Promise((good, bad) => {
    const request = http.request(url, { method: 'POST', agent: keepAlive, headers }, (response) => {
      let text = '';
      response.on('data', (part) => (text += part)).on('error', bad).on('end', () => {
        if (response.statusCode < 300) good(text);
        else bad(new Error(`${url}: ${response.statusCode} ${text}`));
      });
    });
    request.on('error', bad).end(JSON.stringify(body));
  });
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

async function until(what, condition) {
  for (let tries = 0; tries < 1200; tries++) {
    if (await Promise.resolve().then(condition).catch(() => false)) return;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  throw new Error(`${what}: not within a minute`);
}

/** User and system time of a process and its children, in seconds. */
function cpu(pids) {
  const stats = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      const fields = readFileSync(`/proc/${name}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
      return [{ pid: Number(name), parent: Number(fields[1]), time: (Number(fields[11]) + Number(fields[12])) / TICKS }];
    } catch {
      return [];
    }
  });
  const family = new Set(pids);
  for (let grew = true; grew; ) {
    const children = stats.filter(({ pid, parent }) => family.has(parent) && !family.has(pid));
    children.forEach(({ pid }) => family.add(pid));
    grew = children.length > 0;
  }
  return stats.filter(({ pid }) => family.has(pid)).reduce((sum, { time }) => sum + time, 0);
}

/** A child process of this file in a role; `said` has its last word. */
async function play(role, given) {
  const child = fork(import.meta.filename, [], { env: { ...process.env, RESTATE_LOGGING: 'ERROR', ROLE: role, GIVEN: JSON.stringify(given) } });
  const player = { child, said: {} };
  child.on('message', (word) => Object.assign(player.said, word));
  await until(role, () => player.said.ready);
  return player;
}

async function stopped(server) {
  if (server.exitCode === null && server.kill()) await once(server, 'exit');
}

/** Starts `count`, at most `open` of them in progress, and waits until all have ended. */
async function round({ count, open, start, answered, ended, parts }) {
  const before = Object.fromEntries(Object.entries(parts).map(([name, pids]) => [name, cpu(pids)]));
  const [first, answeredBefore] = [performance.now(), answered()];
  let started = 0;
  const starter = async () => {
    while (started < count) {
      if (started - (answered() - answeredBefore) >= open) await new Promise((wake) => setTimeout(wake, 2));
      else await start(started++);
    }
  };
  await Promise.all(Array.from({ length: 32 }, starter));
  await until('all have ended', ended);
  const seconds = (performance.now() - first) / 1000;
  const each = Object.entries(parts).map(([name, pids]) => [name, Math.round(((cpu(pids) - before[name]) / count) * 1e6)]);
  return { per_second: Math.round(count / seconds), cpu_us_each: Object.fromEntries(each) };
}

async function withReveille({ reveille, bus, count, open, brokerPid }, folder) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const settings = {
    REVEILLE__API__LISTEN: `127.0.0.1:${port}`, REVEILLE__STORE__URL: `sqlite:${folder}/compare.db`,
    REVEILLE__BUS__URL: bus, REVEILLE__LOGS__FILTER: 'warn',
  };
  const server = spawn(reveille, ['serve'], { env: { ...process.env, ...settings }, stdio: ['ignore', 'ignore', 'inherit'] });
  const queue = `compare-${process.pid}-${port}`;
  const worker = await play('answers-amqp', { bus, queue });
  try {
    await until('Reveille', () => fetch(`${url}/readyz`).then((answer) => answer.ok));
    const ask = (operation, body) => post(url, body, {
      'Content-Type': 'application/x-amz-json-1.0', 'X-Amz-Target': `AWSStepFunctions.${operation}`,
    }).then(JSON.parse);
    const task = {
      Type: 'Task', Resource: 'arn:aws:states:::amqp:publish.waitForTaskToken', End: true,
      Parameters: { Queue: queue, Body: { 'n.$': '$.n' } },
    };
    const definition = JSON.stringify({ StartAt: 'T', States: { T: task } });
    const machine = await ask('CreateStateMachine', { name: 'callback', definition, roleArn: 'arn:aws:iam::123456789012:role/r' });
    const open_ = async () => {
      const text = await fetch(`${url}/metrics`).then((answer) => answer.text());
      return Number(/^reveille_executions_open(?:\{[^}]*\})? (\d+)/m.exec(text)[1]);
    };
    return await round({
      count, open, answered: () => worker.said.count,
      start: (n) => ask('StartExecution', { stateMachineArn: machine.stateMachineArn, input: JSON.stringify({ n }) }),
      ended: async () => worker.said.count >= count && (await open_()) === 0,
      parts: { server: [server.pid], 'beside it': [brokerPid], worker: [worker.child.pid] },
    });
  } finally {
    worker.child.kill();
    await stopped(server);
  }
}

async function withRestate({ count, open }, folder) {
  const [ingress, admin, node, handlerPort, workerPort] = await Promise.all(Array.from({ length: 5 }, freePort));
  const settings = {
    RESTATE_BASE_DIR: folder, RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`, RESTATE_LISTEN_MODE: 'tcp',
    RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`, RESTATE_BIND_ADDRESS: `127.0.0.1:${node}`,
    RESTATE_LOG_FILTER: 'error', RESTATE_DISABLE_TELEMETRY: 'true', DO_NOT_TRACK: '1',
  };
  const program = path.join(here, 'node_modules/@restatedev/restate-server-linux-x64/bin/restate-server');
  const server = spawn(program, ['--no-logo'], { env: { ...process.env, ...settings }, stdio: ['ignore', 'ignore', 'inherit'] });
  const worker = await play('answers-http', { port: workerPort, ingress });
  const handler = await play('handles', { port: handlerPort, worker: workerPort });
  try {
    await until('Restate', () => fetch(`http://127.0.0.1:${admin}/health`).then((answer) => answer.ok));
    await until('the deployment', () => post(`http://127.0.0.1:${admin}/deployments`, { uri: `http://127.0.0.1:${handlerPort}` }).then(() => true));
    return await round({
      count, open, answered: () => worker.said.count,
      start: (n) => post(`http://127.0.0.1:${ingress}/callback/run/send`, { n }),
      ended: () => handler.said.count >= count,
      parts: { server: [server.pid], 'beside it': [handler.child.pid], worker: [worker.child.pid] },
    });
  } finally {
    worker.child.kill();
    handler.child.kill();
    await stopped(server);
  }
}

/** Tells the parent how many there are, not more often than needed. */
function counter() {
  let [count, told] = [0, -1];
  setInterval(() => {
    if (count !== told) process.send({ count: (told = count) });
  }, 2);
  return () => count++;
}

const roles = {
  /** Restate's service: an execution that waits for its worker. */
  async handles({ port, worker }) {
    Promise.withResolvers ??= function () {
      const parts = {};
      parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
      return parts;
    }; // the SDK expects a newer Node
    const restate = await import('@restatedev/restate-sdk');
    const one = counter();
    const run = async (context, { n }) => {
      const { id, promise } = context.awakeable();
      await context.run('ask', () => post(`http://127.0.0.1:${worker}/`, { id, n }).then(() => undefined));
      const answer = await promise;
      one();
      return answer;
    };
    await restate.serve({ services: [restate.service({ name: 'callback', handlers: { run } })], port });
    process.send({ ready: true, count: 0 });
  },
  async 'answers-http'({ port, ingress }) {
    const one = counter();
    const take = (request, response) => {
      let text = '';
      request.on('data', (part) => (text += part)).on('end', async () => {
        response.end('{}');
        const { id, n } = JSON.parse(text);
        await post(`http://127.0.0.1:${ingress}/restate/awakeables/${id}/resolve`, { n });
        one();
      });
    };
    http.createServer(take).listen(port, '127.0.0.1', () => process.send({ ready: true, count: 0 }));
  },
  async 'answers-amqp'({ bus, queue }) {
    const { default: amqp } = await import('amqplib');
    const one = counter();
    const channel = await (await amqp.connect(bus)).createConfirmChannel();
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await channel.prefetch(500);
    await channel.consume(queue, (message) => {
      const { headers, replyTo } = message.properties;
      const options = { correlationId: headers['task-token'], persistent: true };
      channel.publish('', replyTo, message.content, options, (error) => {
        if (error) return;
        channel.ack(message);
        one();
      });
    });
    process.send({ ready: true, count: 0 });
  },
};

if (process.env.ROLE) await roles[process.env.ROLE](JSON.parse(process.env.GIVEN));
else {
  const { values } = parseArgs({ options: {
    reveille: { type: 'string' }, bus: { type: 'string' }, 'broker-pid': { type: 'string' },
    rounds: { type: 'string', default: '5' }, count: { type: 'string', default: '10000' }, open: { type: 'string', default: '500' },
  } });
  const given = {
    reveille: values.reveille, bus: values.bus, count: Number(values.count), open: Number(values.open),
    brokerPid: Number(values['broker-pid'] ?? 0),
  };
  const systems = { Reveille: withReveille, Restate: withRestate };
  const results = { Reveille: [], Restate: [] };
  for (let n = 0; n < Number(values.rounds); n++) {
    for (const name of n % 2 ? ['Restate', 'Reveille'] : ['Reveille', 'Restate']) {
      const folder = mkdtempSync(path.join(tmpdir(), 'compare-'));
      const result = await systems[name](given, folder);
      rmSync(folder, { recursive: true, force: true });
      results[name].push(result);
      console.log(name, JSON.stringify(result));
    }
  }
  const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
  for (const [name, rounds] of Object.entries(results)) {
    const parts = Object.keys(rounds[0].cpu_us_each).map((part) => `${part} ${median(rounds.map((r) => r.cpu_us_each[part]))} µs`);
    console.log(`${name}: median ${median(rounds.map((r) => r.per_second))} a second; each: ${parts.join(', ')}`);
  }
  process.exit(0);
}
