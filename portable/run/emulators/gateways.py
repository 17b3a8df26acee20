"""What stands for the gateways that hold websockets for functions: AWS's ``@connections`` API and Azure Web PubSub.
* https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
* https://learn.microsoft.com/rest/api/webpubsub/dataplane/web-pub-sub/send-to-connection
    """AWS's, on a free loopback port. The address of sockets is its ``endpoint`` and a stage."""
