# The greeter: answers tasks on the queue "greetings".    gem install bunny, or apt install ruby-bunny
require 'bunny'
require 'json'

# Status and answer; Retry and Catch see the error.
def greet(body)
  order = JSON.parse(body)
  return ['success', { text: "Hello, #{order['name']}" }] if order.is_a?(Hash) && order['name']

  ['failure', { error: 'Greeter.NoName', cause: 'the input has no name' }]
rescue JSON::ParserError
  ['failure', { error: 'Greeter.NotJson', cause: 'the task is not JSON' }]
end

connection = Bunny.new(ENV.fetch('AMQP_URL', 'amqp://localhost'))
connection.start
channel = connection.create_channel
channel.confirm_select
channel.prefetch(10)
queue = channel.queue('greetings', durable: true)
puts 'waiting for tasks on queue greetings'
queue.subscribe(manual_ack: true, block: true) do |delivery, task, body|
  status, answer = greet(body)
  loop do # an answer that the broker refuses goes out again
    channel.default_exchange.publish(answer.to_json, routing_key: task.reply_to, correlation_id: task.correlation_id,
                                     headers: { 'task-status' => status }, content_type: 'application/json',
                                     persistent: true)
    break if channel.wait_for_confirms

    sleep 1
  end
  channel.ack(delivery.delivery_tag) # after the broker has the answer
end
