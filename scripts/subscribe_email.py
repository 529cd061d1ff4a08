#!/usr/bin/env python3
"""`make subscribe-email EMAIL=…`: sends alerts to one more address, once it has confirmed."""

import verbs


def main():
    parser = verbs.parser(__doc__.splitlines()[0])
    parser.add_argument("address")
    arguments = parser.parse_args()
    if "@" not in arguments.address:
        raise verbs.Failure("Which address? make subscribe-email EMAIL=you@example.com")
    stack = verbs.Stack.of(arguments)
    topic = stack.output("TopicArn")
    stack.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint=arguments.address)
    print(f"AWS sends a mail to {arguments.address}. Do not click its link: whoever gets a later mail could then")
    print("unsubscribe the address. Copy the token out of the link instead, and run")
    print(f"  aws sns confirm-subscription --region {stack.region} --topic-arn {topic} \\")
    print("    --authenticate-on-unsubscribe true --token TOKEN")
    return 0


if __name__ == "__main__":
    verbs.run(main)
