"""ministack, which starts a process for every delivery at once, with Lambda's limit: so many run, the rest wait.

Its own limits refuse what comes above them and try twice again; Lambda keeps it for six hours
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html).
"""

import sys
import threading

from ministack.app import main
from ministack.services import lambda_svc

slots = threading.Semaphore(int(sys.argv.pop(1)))
execute = lambda_svc._execute_function_provided_warm


def one_of_few(*arguments):
    with slots:
        return execute(*arguments)


lambda_svc._ACCOUNT_CONCURRENCY_CAP = 0
lambda_svc._execute_function_provided_warm = one_of_few
sys.exit(main())
