"""FastAPI with OpenVINO, by its documentation: a performance hint, an asynchronous queue of requests, OpenCV to decode.

Environment: MODEL; FILE, its ONNX file; HINT, THROUGHPUT (many requests at a time) or LATENCY (one).
docs.openvino.ai: High-level Performance Hints; Optimizing for Throughput (requests in parallel, with callbacks);
General Optimizations (normalisation within the model, the Async API); Hello Classification Sample (OpenCV).
"""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import decoders
import openvino
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from shared import CORES, FILE, SIZE, answer

cv2.setNumThreads(1)
core = openvino.Core()
model = core.read_model(FILE)
model.reshape([1, SIZE, SIZE, 3])
queue = openvino.AsyncInferQueue(core.compile_model(model, "CPU", {"PERFORMANCE_HINT": os.environ["HINT"]}))
workers = ThreadPoolExecutor(CORES)
# Two threads that start requests at a time would be given the same one, and the second would fail.
starting = threading.Lock()
app = FastAPI()


@queue.set_callback
def finish(request, waiting) -> None:
    loop, future = waiting
    loop.call_soon_threadsafe(future.set_result, request.get_output_tensor(0).data[0].copy())


def start(data: bytes, waiting) -> None:
    pixels = decoders.by_opencv(data, SIZE)[None]
    with starting:
        queue.start_async({0: pixels}, waiting)


@app.post("/invocations")
async def invocations(request: Request) -> JSONResponse:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    await loop.run_in_executor(workers, start, await request.body(), (loop, future))
    return JSONResponse(answer(await future))
