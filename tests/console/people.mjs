// What people do with the tasks that ask them: forms, claims, answers. Run by flows.mjs.

import assert from 'node:assert/strict';

const ASK = 'arn:aws:states:::reveille:ask.waitForTaskToken';
const DISCOUNT = {
  Comment: 'A discount beyond what the salesman may give is decided by a person.', StartAt: 'Approve the discount',
  States: {
    'Approve the discount': {
      Type: 'Task', Resource: ASK, TimeoutSeconds: 3_600, HeartbeatSeconds: 1_800,
      Parameters: {
        Form: {
          Title: 'Approve the discount', For: ['pricing'],
          Text: 'A customer asks for more than the salesman may give.\nWithout an answer the order goes on without it.',
          Show: [
            { Label: 'Customer', 'Value.$': '$.customer' }, { Label: 'Order value', 'Value.$': "States.Format('{} EUR', $.value)" },
            { Label: 'Discount asked', 'Value.$': "States.Format('{} %', $.asked)" }, { Label: 'Documents', 'Value.$': '$.documents' },
          ],
          Schema: { type: 'object', required: ['discount', 'reason'], properties: {
            discount: { type: 'number', minimum: 0, maximum: 20, title: 'Discount you grant', description: 'in percent;' },
            reason: { type: 'string', format: 'textarea', title: 'Reason', description: 'The customer sees it.', minLength: 5 },
            until: { type: 'string', format: 'date', title: 'Valid until' },
            tell: { type: 'array', title: 'Tell', items: { type: 'string', enum: ['sales', 'accounting', 'the customer'] }, default: ['sales'] },
          } },
          Actions: [
            { Label: 'Approve', Success: { approved: true } },
            { Label: 'Reject', Failure: { Error: 'Discount.Rejected' }, Ask: ['reason'] },
          ],
        },
      },
      Catch: [{ ErrorEquals: ['Discount.Rejected'], ResultPath: '$.why', Next: 'Without a discount' }], ResultPath: '$.decision',
      Next: 'Write the offer',
    },
    'Write the offer': { Type: 'Pass', End: true },
    'Without a discount': { Type: 'Pass', End: true },
  },
};
const NORDLICHT = { customer: 'Nordlicht GmbH', value: 4190, asked: 18, documents: ['offer-0811.pdf', 'letter.pdf'] };

export const people = ({ flow, until, watch, accessible, picture }) => {

flow('a form of one\'s own: what is wrong is marked, what was typed is kept, the answer is the output', async ({ page, server }) => {
  server.discount = await server.machine('discount', DISCOUNT);
  await server.start_execution(server.discount, 'offer-0811', NORDLICHT);
  await page.goto(`${server.base}/console/inbox?machine=discount`);
  await page.getByRole('heading', { name: 'Approve the discount' }).waitFor();
  for (const text of ['Nordlicht GmbH', '4190 EUR', 'offer-0811.pdf, letter.pdf', 'pricing']) await page.getByText(text, { exact: true }).waitFor();
  await accessible(page, 'a form');
  await page.getByLabel(/^Discount you grant/).fill('25');
  await page.getByLabel(/^Reason/).fill('no');
  // The browser's own check is passed by, as a script would.
  await page.locator('form.answer').evaluate((form) => { form.noValidate = true; });
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.getByRole('alert').getByText('Your answer was not taken yet.').waitFor();
  await page.getByText('Write a number from 0 to 20.').first().waitFor();
  assert.equal(await page.getByLabel(/^Discount you grant/).inputValue(), '25');
  assert.equal(await page.getByLabel(/^Reason/).inputValue(), 'no');
  assert.equal(await page.locator('[aria-invalid=true]').count(), 2);
  await accessible(page, 'a form with wrong fields');
  await picture(page, 'form-wrong');
  await page.getByLabel(/^Discount you grant/).fill('15.5');
  await page.getByLabel(/^Reason/).fill('A good customer\nfor years');
  await page.getByLabel(/^Valid until/).fill('2026-12-15');
  await page.getByLabel('the customer').check();
  await picture(page, 'form');
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('Your answer was taken.').waitFor();
  const { output } = await until('it has succeeded', async () => {
    const execution = await server.call('DescribeExecution', { executionArn: `${server.discount.replace(':stateMachine:', ':execution:')}:offer-0811` });
    return execution.status === 'SUCCEEDED' && execution;
  });
  assert.deepEqual(JSON.parse(output).decision, {
    discount: 15.5, reason: 'A good customer\nfor years', until: '2026-12-15', tell: ['sales', 'the customer'], approved: true,
  });
});

flow('a form rejects with the reason that it asks for, by keys alone, and Catch leads on', async ({ page, server }) => {
  await server.start_execution(server.discount, 'offer-0812', NORDLICHT);
  await page.goto(`${server.base}/console/inbox?machine=discount`);
  const reason = page.getByLabel(/^Reason/);
  await reason.waitFor();
  for (let n = 0; n < 60 && !(await reason.evaluate((input) => input === document.activeElement)); n += 1) await page.keyboard.press('Tab');
  await page.keyboard.type('too much this year');
  const reject = page.getByRole('button', { name: 'Reject' });
  for (let n = 0; n < 20 && !(await reject.evaluate((button) => button === document.activeElement)); n += 1) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByText('Your answer was taken.').waitFor();
  await page.getByText('It has succeeded').waitFor();
  assert.equal(await page.locator('path.edge.catch.taken').count(), 1, 'the path of Catch is drawn');
  assert.ok((await page.content()).includes('too much this year'));
});

flow('a form that cannot be checked is refused with its place when the machine is made', async ({ server }) => {
  const broken = structuredClone(DISCOUNT);
  broken.States['Approve the discount'].Parameters.Form.Schema.properties.discount.multipleOf = 5;
  const { result, diagnostics } = await server.call('ValidateStateMachineDefinition', { definition: JSON.stringify(broken, null, 1) });
  assert.equal(result, 'FAIL');
  assert.match(diagnostics[0].message, /multipleOf/);
  assert.equal(diagnostics[0].location, '/States/Approve the discount/Parameters/Form/Schema/properties/discount/multipleOf');
});

flow('a form beside a definition that stays as AWS takes it', async ({ page, server }) => {
  await server.call('Reveille.PutForm', { name: 'desk', form: {
    'Title.$': "States.Format('Order {}', $.order)", Show: [{ Label: 'Risk', 'Value.$': '$.risk' }],
    Schema: { type: 'object', required: ['note'], properties: { note: { type: 'string', title: 'Note' }, sure: { type: 'boolean', title: 'I have called the customer' } } },
    Actions: [{ Label: 'Deliver', Success: { approved: true } }, { Label: 'Refuse', Success: { approved: false }, Ask: [] }],
  } });
  await server.call('TagResource', { resourceArn: server.order, tags: [{ key: 'reveille:form:Ask the fraud desk', value: 'desk' }] });
  await server.start_execution(server.order, 'order-0820', { order: '0820', risk: 61 });
  await page.goto(`${server.base}/console/inbox?machine=fulfil-order`);
  await page.locator('.tasks').getByRole('link', { name: /order-0820/ }).click();
  await page.getByRole('heading', { name: 'Order 0820' }).waitFor();
  await page.getByLabel(/^Note/).fill('spoke to her');
  await page.getByLabel('I have called the customer').check();
  await accessible(page, 'a form beside a definition');
  await page.getByRole('button', { name: 'Deliver' }).click();
  await page.getByText('It has succeeded').waitFor();
  const { output } = await server.call('DescribeExecution', { executionArn: `${server.order.replace(':stateMachine:', ':execution:')}:order-0820` });
  assert.deepEqual(JSON.parse(output).desk, { note: 'spoke to her', sure: true, approved: true });
  await server.call('UntagResource', { resourceArn: server.order, tagKeys: ['reveille:form:Ask the fraud desk'] });
});

flow('a claim is shown to others, and the list of answers names who said what', async ({ page, context, server }) => {
  await server.start_execution(server.discount, 'offer-0814', NORDLICHT);
  await page.goto(`${server.base}/console/inbox?machine=discount`);
  await page.getByRole('button', { name: 'Claim' }).click();
  await page.getByText('You work on it now').waitFor();
  await accessible(page, 'a claimed task');
  const other = watch(await context.newPage());
  await other.goto(`${server.base}/console/inbox?machine=discount`);
  await other.getByText('works on it').waitFor();
  await other.close();
  await page.getByLabel(/^Discount you grant/).fill('5');
  await page.getByLabel(/^Reason/).fill('as before');
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('Your answer was taken.').waitFor();
  await page.goto(`${server.base}/console/inbox/answered`);
  await page.getByRole('row', { name: /console.*Approve.*Approve the discount.*offer-0814/ }).waitFor();
  await page.getByRole('row', { name: /Reject/ }).first().waitFor();
  await accessible(page, 'answers');
  await picture(page, 'answered');
});
};
