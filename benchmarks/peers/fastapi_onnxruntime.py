"""FastAPI with ONNX Runtime: an asynchronous endpoint, and a thread per core that decodes by Pillow and runs the model.

Environment: MODEL; FILE, its ONNX file. onnxruntime.ai: Thread management (the threads of a session, and that they need
not spin); a session may be run by several threads at once. fastapi.tiangolo.com: Concurrency and async / await.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import decoders
import engines
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from shared import CORES, FILE, SIZE, answer

# Each request has one core, which costs least in all: cores that share an image wait for each other.
forward = engines.onnxruntime(FILE, threads=1)
workers = ThreadPoolExecutor(CORES)
app = FastAPI()


def classify(data: bytes) -> dict:
    return answer(forward(decoders.by_pillow(data, SIZE)[None])[0])


@app.post("/invocations")
async def invocations(request: Request) -> JSONResponse:
    loop = asyncio.get_running_loop()
    return JSONResponse(await loop.run_in_executor(workers, classify, await request.body()))
