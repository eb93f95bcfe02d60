"""stub"""
import functools
import cv2
import numpy as np
PICTURES=range(5)
@functools.cache
def raw(i):
    return cv2.resize(np.random.default_rng(i).integers(0,256,(40,60,3),dtype=np.uint8),(672,512),interpolation=cv2.INTER_CUBIC)
@functools.lru_cache(5)
def fitted_picture(index,height,width):
    p=raw(index)
    h,w=p.shape[:2]
    scale=max(1,height/h,width/w)*1.1
    return cv2.resize(p,(int(np.ceil(w*scale)),int(np.ceil(h*scale))),interpolation=cv2.INTER_CUBIC)
