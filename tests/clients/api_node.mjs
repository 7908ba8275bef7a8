// The API through the JavaScript SDK: the happy path of every operation, an error of each kind, paging.
//
//   REVEILLE_ENDPOINT=http://127.0.0.1:8083 NODE_WORKERS=examples/workers/node node --test tests/clients/api_node.mjs
//
// NODE_WORKERS: a folder whose node_modules has @aws-sdk/client-sfn. The SDK must not put `sync-` before an address: disableHostPrefix.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { after, test } from 'node:test';

const folder = resolve(process.env.NODE_WORKERS ?? 'examples/workers/node');
const sdk = createRequire(`${folder}/package.json`)('@aws-sdk/client-sfn');

const sfn = new sdk.SFNClient({
  endpoint: process.env.REVEILLE_ENDPOINT ?? 'http://127.0.0.1:8083',
  region: process.env.REVEILLE_REGION ?? 'us-east-1',
  credentials: {
    accessKeyId: process.env.REVEILLE_ACCESS_KEY ?? 'test',
    secretAccessKey: process.env.REVEILLE_SECRET_KEY ?? 'test',
  },
  disableHostPrefix: true,
  maxAttempts: 1,
});
const ROLE = 'arn:aws:iam::123456789012:role/test';
const PASS = { StartAt: 'A', States: { A: { Type: 'Pass', End: true } } };
const WAIT = { StartAt: 'W', States: { W: { Type: 'Wait', Seconds: 600, End: true } } };
const FAIL = { StartAt: 'F', States: { F: { Type: 'Fail', Error: 'Broken', Cause: 'on purpose' } } };

/** Sends the operation of this name. */
const call = (operation, input = {}) => sfn.send(new sdk[`${operation}Command`](input));
/** Which operations were answered. */
const answered = new Set();
sfn.middlewareStack.add((next, context) => async (request) => {
  const answer = await next(request);
  answered.add(context.commandName.replace(/Command$/, ''));
  return answer;
}, { step: 'initialize' });
const name = () => `node-${randomUUID().slice(0, 13)}`;

const machines = [];
const activities = [];
after(async () => {
  for (const stateMachineArn of machines) await call('DeleteStateMachine', { stateMachineArn });
  for (const activityArn of activities) await call('DeleteActivity', { activityArn });
  sfn.destroy();
});

async function machine(definition = PASS, more = {}) {
  const made = await call('CreateStateMachine', { name: name(), definition: JSON.stringify(definition), roleArn: ROLE, ...more });
  assert.ok(made.creationDate instanceof Date);
  machines.push(made.stateMachineArn);
  return made.stateMachineArn;
}

async function activity() {
  const { activityArn } = await call('CreateActivity', { name: name() });
  activities.push(activityArn);
  return activityArn;
}

async function start(stateMachineArn, more = {}) {
  return (await call('StartExecution', { stateMachineArn, ...more })).executionArn;
}

async function ended(executionArn) {
  return until(`${executionArn} ends`, async () => {
    const described = await call('DescribeExecution', { executionArn });
    return described.status !== 'RUNNING' && described;
  });
}

async function until(what, look) {
  for (const end = Date.now() + 60_000; Date.now() < end;) {
    const found = await look();
    if (found) return found;
    await new Promise((done) => setTimeout(done, 25));
  }
  throw new Error(`not in time: ${what}`);
}

/** The call fails with the SDK's own class of this error, and a message that holds the text. */
async function refused(code, text, operation, input) {
  await assert.rejects(call(operation, input), (error) => {
    assert.equal(error.name, code);
    assert.ok(sdk[code] === undefined || error instanceof sdk[code], `${code} is none of the SDK's classes`);
    assert.ok(error.message.includes(text), error.message);
    assert.ok(error.$metadata.requestId);
    return true;
  });
}

async function all(paginate, key, pageSize, input) {
  const items = [];
  for await (const page of paginate({ client: sfn, pageSize }, input)) items.push(...(page[key] ?? []));
  return items;
}

test('machines are made, listed, changed and validated', async () => {
  const arns = [await machine(), await machine(), await machine()];
  const listed = (await all(sdk.paginateListStateMachines, 'stateMachines', 2, {})).map((m) => m.stateMachineArn);
  assert.ok(arns.every((arn) => listed.includes(arn)));
  const described = await call('DescribeStateMachine', { stateMachineArn: arns[0] });
  assert.deepEqual(JSON.parse(described.definition), PASS);
  assert.ok((await call('UpdateStateMachine', { stateMachineArn: arns[0], definition: JSON.stringify(FAIL) })).revisionId);
  assert.equal((await call('ValidateStateMachineDefinition', { definition: JSON.stringify(PASS) })).result, 'OK');
});

test('versions and aliases', async () => {
  const arn = await machine(PASS, { publish: true });
  assert.equal((await call('PublishStateMachineVersion', { stateMachineArn: arn })).stateMachineVersionArn, `${arn}:1`);
  const routingConfiguration = [{ stateMachineVersionArn: `${arn}:1`, weight: 100 }];
  const { stateMachineAliasArn } = await call('CreateStateMachineAlias', { name: 'live', routingConfiguration });
  await call('UpdateStateMachineAlias', { stateMachineAliasArn, description: 'd' });
  assert.equal((await call('DescribeStateMachineAlias', { stateMachineAliasArn })).description, 'd');
  assert.equal((await call('ListStateMachineAliases', { stateMachineArn: arn })).stateMachineAliases.length, 1);
  assert.equal((await call('ListStateMachineVersions', { stateMachineArn: arn })).stateMachineVersions.length, 1);
  assert.equal((await ended(await start(stateMachineAliasArn))).stateMachineVersionArn, `${arn}:1`);
  await refused('ConflictException', 'live', 'DeleteStateMachineVersion', { stateMachineVersionArn: `${arn}:1` });
  await call('DeleteStateMachineAlias', { stateMachineAliasArn });
  await call('DeleteStateMachineVersion', { stateMachineVersionArn: `${arn}:1` });
  await refused('ResourceNotFound', 'does not exist', 'DescribeStateMachineAlias', { stateMachineAliasArn });
});

test('executions run, are listed, and tell their history', async () => {
  const arn = await machine();
  let executionArn;
  for (let n = 0; n < 3; n++) {
    executionArn = await start(arn, { name: `e${n}`, input: '{"a":1}' });
    assert.equal((await ended(executionArn)).status, 'SUCCEEDED');
  }
  const listed = await all(sdk.paginateListExecutions, 'executions', 1, { stateMachineArn: arn });
  assert.deepEqual(listed.map((e) => e.name), ['e2', 'e1', 'e0']);
  const types = ['ExecutionStarted', 'PassStateEntered', 'PassStateExited', 'ExecutionSucceeded'];
  const events = await all(sdk.paginateGetExecutionHistory, 'events', 3, { executionArn });
  assert.deepEqual(events.map((e) => e.type), types);
  const reverse = await all(sdk.paginateGetExecutionHistory, 'events', 3, { executionArn, reverseOrder: true });
  assert.deepEqual(reverse.map((e) => e.type), types.toReversed());
  assert.equal((await call('DescribeStateMachineForExecution', { executionArn })).stateMachineArn, arn);
  assert.deepEqual((await call('ListMapRuns', { executionArn })).mapRuns, []);
});

test('an execution is stopped, and a failed one redriven', async () => {
  const running = await start(await machine(WAIT));
  assert.ok((await call('StopExecution', { executionArn: running, error: 'E' })).stopDate instanceof Date);
  assert.equal((await ended(running)).status, 'ABORTED');
  const failed = await start(await machine(FAIL));
  assert.equal((await ended(failed)).error, 'Broken');
  await call('RedriveExecution', { executionArn: failed, clientToken: randomUUID() });
  assert.equal((await ended(failed)).redriveCount, 1);
});

test('an express execution answers with its end', async () => {
  const answer = await call('StartSyncExecution', { stateMachineArn: await machine(PASS, { type: 'EXPRESS' }), input: '{"a":1}' });
  assert.deepEqual([answer.status, JSON.parse(answer.output)], ['SUCCEEDED', { a: 1 }]);
});

test('activities and tokens', async () => {
  const activityArn = await activity();
  assert.equal((await call('DescribeActivity', { activityArn })).activityArn, activityArn);
  assert.ok((await all(sdk.paginateListActivities, 'activities', 2, {})).some((a) => a.activityArn === activityArn));
  const arn = await machine({ StartAt: 'T', States: { T: { Type: 'Task', Resource: activityArn, End: true } } });
  const first = await start(arn, { input: '1' });
  const { taskToken, input } = await call('GetActivityTask', { activityArn, workerName: 'w' });
  assert.equal(input, '1');
  await call('SendTaskHeartbeat', { taskToken });
  await call('SendTaskSuccess', { taskToken, output: '{"b":2}' });
  assert.equal((await ended(first)).output, '{"b":2}');
  await refused('TaskTimedOut', 'Provided task does not exist anymore', 'SendTaskSuccess', { taskToken, output: '{}' });
  const second = await start(arn);
  const task = await call('GetActivityTask', { activityArn });
  await call('SendTaskFailure', { taskToken: task.taskToken, error: 'E', cause: 'C' });
  assert.equal((await ended(second)).error, 'E');
});

test('a poller that goes away loses nothing', async () => {
  const activityArn = await activity();
  const gone = new AbortController();
  const waiting = sfn.send(new sdk.GetActivityTaskCommand({ activityArn }), { abortSignal: gone.signal });
  setTimeout(() => gone.abort(), 300);
  await assert.rejects(waiting, { name: 'AbortError' });
  const executionArn = await start(await machine({ StartAt: 'T', States: { T: { Type: 'Task', Resource: activityArn, End: true } } }));
  const { taskToken } = await call('GetActivityTask', { activityArn });
  await call('SendTaskSuccess', { taskToken, output: '1' });
  assert.equal((await ended(executionArn)).status, 'SUCCEEDED');
});

test('tags', async () => {
  const resourceArn = await machine();
  await call('TagResource', { resourceArn, tags: [{ key: 'a', value: '1' }] });
  assert.deepEqual((await call('ListTagsForResource', { resourceArn })).tags, [{ key: 'a', value: '1' }]);
  await call('UntagResource', { resourceArn, tagKeys: ['a'] });
  assert.deepEqual((await call('ListTagsForResource', { resourceArn })).tags, []);
});

test('errors of each kind', async () => {
  const arn = await machine();
  const nothing = `${arn.slice(0, arn.lastIndexOf(':'))}:${name()}`;
  const execution = `${arn.replace(':stateMachine:', ':execution:')}:nothing`;
  await refused('StateMachineDoesNotExist', nothing, 'DescribeStateMachine', { stateMachineArn: nothing });
  await refused('ExecutionDoesNotExist', execution, 'DescribeExecution', { executionArn: execution });
  await refused('InvalidArn', 'Invalid ARN prefix', 'DescribeExecution', { executionArn: 'x' });
  await refused('InvalidExecutionInput', 'Unexpected end-of-input', 'StartExecution', { stateMachineArn: arn, input: '{' });
  await refused('InvalidName', 'a b', 'CreateActivity', { name: 'a b' });
  const definition = '{"StartAt": "A"}';
  await refused('InvalidDefinition', 'SCHEMA_VALIDATION_FAILED', 'CreateStateMachine', { name: name(), definition, roleArn: ROLE });
  await refused('InvalidToken', 'Invalid token', 'SendTaskHeartbeat', { taskToken: 'nonsense' });
  await refused('InvalidToken', 'Invalid token', 'ListStateMachines', { nextToken: 'nonsense' });
  await refused('StateMachineTypeNotSupported', 'not supported', 'StartSyncExecution', { stateMachineArn: arn });
  await refused('ValidationException', '1001', 'ListStateMachines', { maxResults: 1001 });
  await refused('ActivityDoesNotExist', 'Activity Does Not Exist', 'GetActivityTask', {
    activityArn: nothing.replace(':stateMachine:', ':activity:'),
  });
});

test('map runs', async () => {
  const ProcessorConfig = { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' };
  const ItemProcessor = { ProcessorConfig, StartAt: 'W', States: WAIT.States };
  const arn = await machine({ StartAt: 'M', States: { M: { Type: 'Map', Label: 'all', ItemProcessor, End: true } } });
  const executionArn = await start(arn, { input: '[1, 2]' });
  const runs = () => all(sdk.paginateListMapRuns, 'mapRuns', 1, { executionArn });
  const [{ mapRunArn, stateMachineArn }] = await until('a map run', async () => (await runs()).length && runs());
  assert.equal(stateMachineArn, `${arn}/all`);
  await call('UpdateMapRun', { mapRunArn, maxConcurrency: 3 });
  const described = await call('DescribeMapRun', { mapRunArn });
  assert.deepEqual([described.status, described.maxConcurrency, described.itemCounts.total], ['RUNNING', 3, 2]);
  await call('StopExecution', { executionArn });
  await until('the map run ends', async () => (await call('DescribeMapRun', { mapRunArn })).status === 'ABORTED');
});

test('a state alone', async () => {
  const definition = JSON.stringify({ Type: 'Task', Resource: 'arn:aws:states:::lambda:invoke', Arguments: {}, QueryLanguage: 'JSONata',
    Output: '{% $states.result.Payload %}', End: true });
  const mock = { result: JSON.stringify({ Payload: 42 }), fieldValidationMode: 'NONE' };
  const answer = await call('TestState', { definition, roleArn: ROLE, mock, inspectionLevel: 'DEBUG' });
  assert.deepEqual([answer.status, answer.output], ['SUCCEEDED', '42']);
  assert.ok(answer.inspectionData.result);
});

after(() => {
  const operations = Object.keys(sdk).filter((key) => /^[A-Z].*Command$/.test(key) && key !== '$Command').map((key) => key.replace(/Command$/, ''));
  assert.equal(operations.length, 37, operations.join());
  assert.deepEqual(operations.filter((operation) => !answered.has(operation)), [], 'never answered');
});
