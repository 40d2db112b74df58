"""Signs a corpus with botocore: the signatures that crates/live/gateway/src/sigv4.rs must make too.

Run: pip install botocore==1.44.8, then `python sign.py`; it prints address, time and signature.
"""

import datetime

import botocore.auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

AT = datetime.datetime(2026, 11, 25, 4, 9, 20)
botocore.auth.get_current_datetime = lambda remove_tzinfo=True: AT

BEDROCK = "https://bedrock-runtime.eu-central-1.amazonaws.com/model"
CORPUS = [
    (f"{BEDROCK}/anthropic.claude-3%3A0/converse", None, b'{"a":1}'),
    (f"{BEDROCK}/arn%3Aaws%3Abedrock%3Aeu%3A1%3Aprofile%2Fx/converse-stream", "SESSION/+=", '{"ü":"é"}'.encode()),
    ("http://127.0.0.1:8080/openai/v1/chat/completions?api-version=1", "T", b""),
    ("http://127.0.0.1:8080/anthropic/v1/messages", None, b"{}"),
]

for url, session, body in CORPUS:
    request = AWSRequest(method="POST", url=url, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials("AKIDEXAMPLE", "s3cret/+=", session), "bedrock", "eu-central-1").add_auth(request)
    print(url, request.headers["X-Amz-Date"], request.headers["Authorization"].split("Signature=")[1])
