# The greeter: answers tasks on the queue "greetings".    gem install bunny, or apt install ruby-bunny
require 'bunny'
require 'json'

class Refusal < StandardError
  attr_reader :error

  def initialize(error, cause)
    super(cause)
    @error = error
  end
end

def greet(order)
  raise Refusal.new('Greeter.NoName', 'the input has no name') unless order['name']

  { text: "Hello, #{order['name']}" }
end

connection = Bunny.new(ENV.fetch('AMQP_URL', 'amqp://localhost'))
connection.start
channel = connection.create_channel
channel.confirm_select
channel.prefetch(10)
queue = channel.queue('greetings', durable: true)
puts 'waiting for tasks on queue greetings'
queue.subscribe(manual_ack: true, block: true) do |delivery, task, body|
  status = 'success'
  begin
    answer = greet(JSON.parse(body))
  rescue Refusal => e # Retry and Catch see the error
    status = 'failure'
    answer = { error: e.error, cause: e.message }
  end
  channel.default_exchange.publish(answer.to_json, routing_key: task.reply_to, correlation_id: task.correlation_id,
                                   headers: { 'task-status' => status }, content_type: 'application/json',
                                   persistent: true)
  channel.wait_for_confirms
  channel.ack(delivery.delivery_tag) # after the broker has the answer
end
