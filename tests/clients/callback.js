// A callback through the AWS SDK for JavaScript: create, start, find the token, answer, describe. REVEILLE_ENDPOINT says where.
const { SFNClient, CreateStateMachineCommand, StartExecutionCommand, DescribeExecutionCommand, GetExecutionHistoryCommand,
  SendTaskSuccessCommand, SendTaskHeartbeatCommand, StopExecutionCommand } = require('@aws-sdk/client-sfn');
const assert = require('node:assert');

const endpoint = process.env.REVEILLE_ENDPOINT;
const client = new SFNClient({ endpoint, region: 'us-east-1', credentials: { accessKeyId: 'any', secretAccessKey: 'any' } });

// What waits is no operation of AWS's.
async function waiting(executionArn) {
  for (const end = Date.now() + 30000; Date.now() < end;) {
    const answer = await fetch(endpoint, { method: 'POST', body: JSON.stringify({ executionArn }),
      headers: { 'Content-Type': 'application/x-amz-json-1.0', 'X-Amz-Target': 'Reveille.ListWaitingTasks' } });
    const task = (await answer.json()).tasks.find((one) => one.submitted);
    if (task) return task.taskToken;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('nothing waits');
}

async function main() {
  const { stateMachineArn } = await client.send(new CreateStateMachineCommand({
    name: 'from-node', definition: process.env.DEFINITION, roleArn: 'arn:aws:iam::123456789012:role/any' }));
  const { executionArn } = await client.send(new StartExecutionCommand({ stateMachineArn, input: '{"number": 1}' }));
  const taskToken = await waiting(executionArn);
  await client.send(new SendTaskHeartbeatCommand({ taskToken }));
  await client.send(new SendTaskSuccessCommand({ taskToken, output: '{"from": "node"}' }));
  await assert.rejects(client.send(new SendTaskSuccessCommand({ taskToken, output: '{}' })), { name: 'TaskTimedOut' });
  const { events } = await client.send(new GetExecutionHistoryCommand({ executionArn }));
  assert.strictEqual(events.at(-1).type, 'ExecutionSucceeded');
  const { status, output, startDate } = await client.send(new DescribeExecutionCommand({ executionArn }));
  assert.deepStrictEqual(JSON.parse(output), { from: 'node' });
  assert.ok(startDate instanceof Date);
  await assert.rejects(client.send(new StopExecutionCommand({ executionArn: `${executionArn}-not` })), { name: 'ExecutionDoesNotExist' });
  console.log(status);
}

main().catch((error) => { console.error(error); process.exit(1); });
