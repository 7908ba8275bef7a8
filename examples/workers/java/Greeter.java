// The greeter: answers tasks on the queue "greetings".    com.rabbitmq:amqp-client, or apt install librabbitmq-client-java
import com.rabbitmq.client.*;
import java.util.Map;
import java.util.regex.Pattern;
import static java.nio.charset.StandardCharsets.UTF_8;

public class Greeter {
    static String greet(String order) { // a JSON library does better
        var name = Pattern.compile("\"name\"\\s*:\\s*\"([^\"]+)\"").matcher(order);
        if (!name.find()) throw new IllegalArgumentException("the input has no name");
        return "{\"text\": \"Hello, " + name.group(1) + "\"}";
    }

    public static void main(String[] arguments) throws Exception {
        var factory = new ConnectionFactory();
        factory.setUri(System.getenv().getOrDefault("AMQP_URL", "amqp://localhost"));
        var channel = factory.newConnection().createChannel();
        channel.confirmSelect();
        channel.basicQos(10);
        channel.queueDeclare("greetings", true, false, false, null);
        channel.basicConsume("greetings", false, new DefaultConsumer(channel) {
            public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties task, byte[] body) {
                String answer, status = "success";
                try {
                    answer = greet(new String(body, UTF_8));
                } catch (IllegalArgumentException why) { // Retry and Catch see the error
                    status = "failure";
                    answer = "{\"error\": \"Greeter.NoName\", \"cause\": \"" + why.getMessage() + "\"}";
                }
                try {
                    channel.basicPublish("", task.getReplyTo(), new AMQP.BasicProperties.Builder()
                            .correlationId(task.getCorrelationId()).headers(Map.of("task-status", status))
                            .contentType("application/json").deliveryMode(2).build(), answer.getBytes(UTF_8));
                    channel.waitForConfirmsOrDie(30_000);
                    channel.basicAck(envelope.getDeliveryTag(), false); // after the broker has the answer
                } catch (Exception why) { throw new RuntimeException(why); }
            }
        });
    }
}
