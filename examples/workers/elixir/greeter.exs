# The greeter: answers tasks on the queue "greetings". It uses RabbitMQ's own Erlang client (hex: amqp_client), which is
# a part of every broker: ERL_LIBS=/usr/lib/rabbitmq/lib/rabbitmq_server-VERSION/plugins elixir greeter.exs
defmodule Greeter do
  require Record
  for {name, as} <- ["queue.declare": :declare, "basic.qos": :qos, "basic.consume": :consume, "basic.publish": :publish,
                     "basic.ack": :ack, "confirm.select": :select, P_basic: :properties, amqp_msg: :message] do
    Record.defrecord(as, name, Record.extract(name, from_lib: "amqp_client/include/amqp_client.hrl"))
  end

  def run do
    {:ok, parameters} = :amqp_uri.parse(to_charlist(System.get_env("AMQP_URL", "amqp://localhost")))
    {:ok, connection} = :amqp_connection.start(parameters)
    {:ok, channel} = :amqp_connection.open_channel(connection)
    Process.monitor(channel)
    for method <- [select(), declare(queue: "greetings", durable: true), qos(prefetch_count: 10)],
        do: :amqp_channel.call(channel, method)
    :amqp_channel.subscribe(channel, consume(queue: "greetings"), self())
    IO.puts("waiting for tasks on queue greetings")
    listen(channel)
  end

  defp listen(channel) do
    receive do
      {{:"basic.deliver", _, tag, _, _, _}, message(props: task, payload: body)} ->
        {status, answer} = greet(body)
        properties = properties(correlation_id: properties(task, :correlation_id), content_type: "application/json",
          headers: [{"task-status", :longstr, status}], delivery_mode: 2)
        reply = message(props: properties, payload: :rabbit_json.encode(answer))
        :amqp_channel.cast(channel, publish(routing_key: properties(task, :reply_to)), reply)
        true = :amqp_channel.wait_for_confirms(channel)
        :amqp_channel.cast(channel, ack(delivery_tag: tag)) # after the broker has the answer
      {:DOWN, _, _, _, why} -> exit(why)
      _ -> :ok
    end
    listen(channel)
  end

  # Retry and Catch see the error.
  defp greet(body) do
    case :rabbit_json.try_decode(body) do
      {:ok, %{"name" => name}} -> {"success", %{text: "Hello, #{name}"}}
      {:ok, _} -> {"failure", %{error: "Greeter.NoName", cause: "the input has no name"}}
      _ -> {"failure", %{error: "Greeter.NotJson", cause: "the task is not JSON"}}
    end
  end
end

Greeter.run()
